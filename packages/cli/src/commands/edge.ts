/** `mahalla edge`: takes messages where the devices are, and brings them to the city when there is a way. */
import { edgeStatus, openEdge } from "@mahalla/server"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { attempt, CommandError } from "../failure.ts"
import { makeOutput, type Output } from "../output.ts"
import { root } from "../root.ts"

const showStatus = async (folder: string, out: Output) => {
  const status = await edgeStatus(folder)
  const { backlog, bytes, cursor, damaged, oldest, segments } = status
  const moment = (at: number | null) => (at === null ? "-" : new Date(at).toISOString())
  out.say(
    [
      `waiting     ${backlog} messages, ${(bytes / 1_048_576).toFixed(1)} MiB in ${segments} files`,
      `oldest      ${moment(oldest)}`,
      `forwarded   ${cursor.forwarded} messages, last ${moment(cursor.at)}`,
      ...(cursor.dead === 0 ? [] : [`unusable    ${cursor.dead} bodies, among the city's dead letters`]),
      ...(damaged === 0 ? [] : [`damaged     ${damaged} files, kept as *.damaged`]),
      ...(cursor.trouble === null ? [] : [`trouble     ${cursor.trouble}`])
    ].join("\n"),
    { ...status }
  )
}

/** `city.example:8443` and `localhost:8080` are URLs too, of schemes that nobody knows. */
const isOfWeb = (address: string) => URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)

/** Resolves at the first signal; at the second the process ends as it would without us. */
const signalled = Effect.callback<void>((resume) => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resume(Effect.void))
})

export const edge = Command.make(
  "edge",
  {
    listen: Flag.String("listen").pipe(
      Flag.atLeast(0),
      Flag.withDescription(
        "Where devices send to: mqtt://host:port or http://host:port, mqtts:// or https:// with TLS. Default: mqtt://0.0.0.0:1883"
      )
    ),
    certificate: Flag.String("certificate").pipe(Flag.optional, Flag.withDescription("PEM file, to listen with TLS")),
    key: Flag.String("key").pipe(Flag.optional, Flag.withDescription("PEM file with the certificate's key")),
    to: Flag.String("to").pipe(Flag.optional, Flag.withDescription("The city: https://city.example/t/slug")),
    token: Flag.Redacted("token").pipe(
      Flag.optional,
      Flag.withDescription("Token of the city's device that is this gateway. Default: MAHALLA_EDGE_TOKEN")
    ),
    open: Flag.Boolean("open").pipe(
      Flag.withDefault(false),
      Flag.withDescription(
        "Take messages from everybody, by the name they show; for a network that nobody else can reach"
      )
    ),
    limit: Flag.Int("limit").pipe(
      Flag.withDefault(4096),
      Flag.withDescription("MiB on disk at which no more is taken until the city has taken some")
    ),
    status: Flag.Boolean("status").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Show what waits in the folder, and nothing else")
    )
  },
  Effect.fn(function* ({ certificate, key, limit, listen, open, status, to, token }) {
    const { dir, json } = yield* root
    const out = makeOutput(json)
    if (status) return yield* attempt(() => showStatus(dir, out))
    const city = Option.getOrUndefined(to)
    const secret = Option.match(token, {
      onNone: () => process.env["MAHALLA_EDGE_TOKEN"],
      onSome: (given) => Redacted.value(given)
    })
    if (city === undefined || secret === undefined)
      return yield* new CommandError({
        message:
          "Name the city and the gateway's token: mahalla edge --dir FOLDER --to https://city.example/t/slug --token TOKEN (or MAHALLA_EDGE_TOKEN).",
        exitCode: 64
      })
    if (!isOfWeb(city))
      return yield* new CommandError({
        message: `--to ${city}: name the city by its whole address, as https://city.example/t/slug or http://127.0.0.1:8080/t/slug.`,
        exitCode: 64
      })
    if (limit < 1)
      return yield* new CommandError({
        message: `--limit ${limit}: an edge needs 1 MiB on its disk at least. Give more, or leave it out for 4096.`,
        exitCode: 64
      })
    yield* Effect.scoped(
      Effect.gen(function* () {
        const { addresses, log } = yield* openEdge({
          folder: dir,
          listen: listen.length === 0 ? ["mqtt://0.0.0.0:1883"] : listen,
          to: city,
          token: secret,
          open,
          ...(Option.isSome(certificate) && Option.isSome(key)
            ? { tls: { certificate: certificate.value, key: key.value } }
            : {}),
          limit: limit * 1_048_576
        }).pipe(Effect.mapError((error) => new CommandError({ message: error.message })))
        out.say(`The edge takes messages at ${addresses.join(", ")}; ${log.bytes()} bytes wait in ${dir}.`, {
          ready: true,
          addresses,
          bytes: log.bytes()
        })
        yield* signalled
        out.say("Closing: what was received is acknowledged …")
      })
    )
  })
).pipe(
  Command.withDescription("Take messages of devices where there is no network at times, and bring them to the city")
)
