/** `mahalla simulate`: thousands of devices with everything that goes wrong in a real network, against a running city. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { makeClient } from "../demo/client.ts"
import { attempt, CommandError } from "../failure.ts"
import { linkFor, pickTenant } from "../links.ts"
import { makeOutput } from "../output.ts"
import { findRunning, loadProject } from "../project.ts"
import { root } from "../root.ts"
import { compare, present, type Window } from "../simulate/check.ts"
import { faultOf } from "../simulate/faults.ts"
import { lasting } from "../simulate/lasting.ts"
import { patient, register } from "../simulate/register.ts"
import { runFleet } from "../simulate/run.ts"
import { httpSender, mqttSender } from "../simulate/senders.ts"
import { makeTally } from "../simulate/Tally.ts"

/** Whom to speak to, and as whom: from the command line, or from the folder of a city that is running here. */
const door = async (
  dir: string,
  given: { readonly url?: string; readonly tenant?: string; readonly token?: string }
) => {
  const { tenant, token, url } = given
  if (url !== undefined && tenant !== undefined && token !== undefined) {
    const another = async (): Promise<string> => {
      throw new CommandError({
        message:
          "The city does not take the --token, or not any more: one must last for the whole run and its --check. Give another, or --dir of a city that is running here."
      })
    }
    return { url, tenant, token, another, place: undefined }
  }
  if (url !== undefined || token !== undefined)
    throw new CommandError({
      message: "Name all three: --url, --tenant and --token; or --dir of a city that is running here.",
      exitCode: 64
    })
  const project = await loadProject(dir, "dev")
  const running = await findRunning(project.home)
  if (running === undefined)
    throw new CommandError({
      message: `No server is running on ${project.home}. Start it in another terminal: mahalla dev. Or name another with --url, --tenant and --token.`,
      exitCode: 69
    })
  const signIn = async () => {
    const city = project.city({ mode: "dev", only: [], migrate: false, logLevel: "Error" })
    await city.start()
    try {
      const slug = await pickTenant(city, tenant)
      const link = await linkFor(city, slug, "municipality-admin")
      const { accessToken } = await makeClient(running.url, slug).post<{ readonly accessToken: string }>(
        "/v1/auth/link",
        {
          token: link.token
        }
      )
      return { slug, accessToken }
    } finally {
      await city.close()
    }
  }
  const { accessToken, slug } = await signIn()
  const another = async () => (await signIn()).accessToken
  return { url: running.url, tenant: slug, token: accessToken, another, place: project.config.demo?.place }
}

/** Aborted after some seconds, or by Ctrl-C. */
const stopAfter = (seconds: number | undefined): AbortSignal => {
  const stop = new AbortController()
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort())
  if (seconds !== undefined) setTimeout(() => stop.abort(), seconds * 1000).unref()
  return stop.signal
}

const optionalText = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.optional, Flag.withDescription(description))

export const simulate = Command.make(
  "simulate",
  {
    url: optionalText("url", "The city's server. Default: the one that is running on the folder of --dir"),
    tenant: optionalText("tenant", "Slug of the tenant; needed when there are several"),
    token: Flag.Redacted("token").pipe(
      Flag.optional,
      Flag.withDescription(
        "Access token of somebody who may manage devices and read readings, for the run and its check"
      )
    ),
    mqtt: optionalText("mqtt", "Send by MQTT to this broker, as mqtt://127.0.0.1:1883. Default: by HTTP"),
    devices: Flag.Int("devices").pipe(
      Flag.withDefault(1000),
      Flag.withDescription("How many; 250 behind each gateway")
    ),
    rate: Flag.Int("rate").pipe(Flag.withDefault(100), Flag.withDescription("Messages per second, of all together")),
    seconds: Flag.Int("seconds").pipe(Flag.optional, Flag.withDescription("How long. Default: until Ctrl-C")),
    seed: Flag.Int("seed").pipe(Flag.withDefault(1), Flag.withDescription("Another one is another fleet")),
    check: Flag.Boolean("check").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Compare what was acknowledged with what is stored, at the end")
    )
  },
  Effect.fn(function* ({ check, devices, mqtt, rate, seconds, seed, tenant, token, url }) {
    const { dir, json } = yield* root
    const out = makeOutput(json)
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const text = Option.getOrUndefined
    yield* attempt(async () => {
      if (devices < 1 || rate < 1)
        throw new CommandError({ message: "At least one device and one message per second.", exitCode: 64 })
      for (const [flag, given, protocols] of [
        ["url", url, /^https?:\/\/\S+$/],
        ["mqtt", mqtt, /^(mqtts?|wss?):\/\/\S+$/]
      ] as const)
        if (Option.isSome(given) && !(protocols.test(given.value) && URL.canParse(given.value)))
          throw new CommandError({
            message: `--${flag} takes an address, as ${flag === "url" ? "https://city.example" : "mqtt://127.0.0.1:1883"}.`,
            exitCode: 64
          })
      const given = {
        url: text(url),
        tenant: text(tenant),
        token: Option.match(token, { onNone: () => undefined, onSome: Redacted.value })
      }
      const at = await door(dir, Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)))
      const client = patient(lasting(makeClient(at.url.replace(/\/+$/, ""), at.tenant, at.token), at.another))
      const progress = (done: number, total: number) => out.progress("Registering devices", done, total)
      const fleet = await register(client, { seed, devices, place: at.place, progress })
      const broker = text(mqtt)
      const sender =
        broker === undefined
          ? httpSender(`${at.url}/t/${at.tenant}`, fleet.gateways)
          : await mqttSender(broker, fleet.gateways)
      const tally = makeTally()
      const began = now()
      const hasWrongClock = (device: number) => faultOf(seed, device) === "clock"
      /** The run; of wrong clocks the hours around it too. */
      const until =
        (to: number) =>
        (device: number): Window =>
          hasWrongClock(device) ? { from: began - 18_000_000, to: to + 700_000 } : { from: began, to }
      const before = check ? await present(client, fleet.ids, until(began)) : new Map<string, never>()
      out.say(
        `${devices} devices behind ${fleet.gateways.length} gateways send ${rate} messages per second to ${at.tenant}${broker === undefined ? ` at ${at.url}` : ` by ${broker}`}`,
        { devices, gateways: fleet.gateways.length }
      )
      const result = await runFleet({ seed, rate, stop: stopAfter(text(seconds)), now, fleet, sender, tally, out })
      await sender.close()
      out.say(
        `${result.sent} messages sent, ${result.acknowledged} acknowledged (middle ${result.middle} ms, slowest hundredth ${result.slowest} ms), ${result.refused} told to be unusable, ${result.unanswered} without an answer`,
        { ...result }
      )
      if (!check) return
      const compared = await compare(client, fleet.ids, fleet.names, tally, until(now() + 1), before)
      const right = compared.differences.length === 0
      out.say(
        `${compared.acknowledged} readings acknowledged, ${compared.stored} stored: ${right ? "the same, to the last one" : `they differ\n  ${compared.differences.join("\n  ")}`}`,
        { ...compared, same: right }
      )
      if (!right)
        throw new CommandError({
          message:
            result.unanswered === 0
              ? "What was acknowledged is not what is stored."
              : `What was acknowledged is not what is stored; ${result.unanswered} messages had no answer yet and may be the difference.`
        })
    })
  })
).pipe(Command.withDescription("Send as thousands of devices do, with leaks, drift, dropouts and wrong clocks"))
