import { Messenger } from "@mahalla/core/plugin"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { appendFileSync, readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { outboxMessenger, readOutbox } from "./index.ts"
import { message, provided } from "./test/outbox.ts"
import { temporary } from "./test/temporary.ts"

type Config = Parameters<typeof outboxMessenger>[0]

const use = <A, E>(
  home: string,
  config: Config,
  body: (messenger: Messenger["Service"]) => Effect.Effect<A, E>,
  mode: "dev" | "production" = "dev"
) =>
  Effect.runPromise(Effect.flatMap(Messenger, body).pipe(Effect.provide(provided(outboxMessenger(config), home, mode))))
const read = (home: string, query?: Parameters<typeof readOutbox>[1]) => Effect.runPromise(readOutbox(home, query))
const texts = async (home: string) => (await read(home, { limit: 500 })).map((one) => one.text)

describe("outbox on the disk", () => {
  it("keeps every accepted message when the process is killed", async () => {
    const home = temporary()
    const writer = spawn(
      process.execPath,
      [
        "--conditions=@mahalla/source",
        "--disable-warning=ExperimentalWarning",
        fileURLToPath(new URL("./test/writer.ts", import.meta.url)),
        home
      ],
      { stdio: ["ignore", "pipe", "inherit"] }
    )
    let said = ""
    writer.stdout.on("data", (part: Buffer) => {
      said += part.toString()
      if (said.length > 37 * 80) writer.kill("SIGKILL")
    })
    await once(writer, "close")
    const accepted = said.split("\n").slice(0, -1)
    expect(accepted.length).toBeGreaterThan(50)
    const kept: Array<string> = []
    for (;;) {
      const page = await read(home, { after: kept.at(-1) ?? "", limit: 100 })
      if (page.length === 0) break
      kept.push(...page.map((one) => one.id))
    }
    expect(kept.slice(0, accepted.length)).toEqual(accepted)
    expect(readdirSync(home).length).toBeGreaterThan(1)
  })

  it("knows after a restart what it has sent", async () => {
    const home = temporary()
    const sent = message()
    await use(home, {}, (messenger) => messenger.send(sent))
    await use(home, {}, (messenger) => messenger.send(sent))
    expect(await texts(home)).toEqual([sent.text])
    const error = await use(home, {}, (messenger) => Effect.flip(messenger.send({ ...sent, text: "Other." })))
    expect(error.reason).toBe("InvalidRequest")
  })

  it("hears what another process on the same folder has sent", async () => {
    const home = temporary()
    const sent = message()
    await use(home, {}, (one) =>
      Effect.andThen(
        Effect.promise(() => use(home, {}, (other) => other.send(sent))),
        one.send(sent)
      )
    )
    expect(await texts(home)).toEqual([sent.text])
  })

  it("passes over the beginning of a line that a crash left behind", async () => {
    const home = temporary()
    await use(home, {}, (messenger) => messenger.send(message({ text: "one" })))
    appendFileSync(join(home, "outbox-000001.ndjson"), '{"id":"to')
    await use(home, {}, (messenger) => messenger.send(message({ text: "two" })))
    expect(await texts(home)).toEqual(["one", "two"])
  })

  it("begins a new file at its size and keeps the newest files", async () => {
    const home = temporary()
    const all = Array.from({ length: 90 }, (_, index) => message({ text: `${index} ${"x".repeat(200)}` }))
    await use(home, { fileSize: 4_096, files: 3 }, (messenger) =>
      Effect.forEach(all, (one) => messenger.send(one), { discard: true })
    )
    expect(readdirSync(home)).toEqual(["outbox-000005.ndjson", "outbox-000006.ndjson", "outbox-000007.ndjson"])
    const kept = await texts(home)
    expect(kept).toEqual(all.slice(-kept.length).map((one) => one.text))
  })

  it("lets nobody but its owner read", async () => {
    const home = join(temporary(), "outbox")
    await use(home, {}, (messenger) => messenger.send(message()))
    expect(statSync(home).mode & 0o077).toBe(0)
    expect(statSync(join(home, "outbox-000001.ndjson")).mode & 0o077).toBe(0)
  })

  it("has no messages where there is no folder", async () => {
    expect(await read(join(temporary(), "none"))).toEqual([])
  })

  it("refuses a limit outside 1–500", async () => {
    const error = await Effect.runPromise(Effect.flip(readOutbox(temporary(), { limit: 501 })))
    expect(error.reason).toBe("InvalidRequest")
  })
})

describe("one-time codes", () => {
  const code = message({ class: "code", text: "Code 104729" })

  it("are refused in production unless the town wants them", async () => {
    const home = temporary()
    const outcome = await use(home, {}, (messenger) => messenger.send(code), "production")
    expect(outcome).toMatchObject({ state: "refused", code: "codes-off" })
    expect(await texts(home)).toEqual([])
  })

  it("are read on the server but not through the port in production", async () => {
    const home = temporary()
    const shown = await use(
      home,
      { codes: true },
      (messenger) =>
        Effect.gen(function* () {
          yield* messenger.send(code)
          yield* messenger.send(message({ text: "A notice." }))
          return yield* messenger.outbox?.({}) ?? Effect.succeed([])
        }),
      "production"
    )
    expect(shown.map((one) => one.text)).toEqual(["A notice."])
    expect(await texts(home)).toEqual([code.text, "A notice."])
  })

  it("expire after ten minutes when their message does not say when", async () => {
    const home = temporary()
    await use(home, {}, (messenger) => messenger.send(code))
    const [kept] = await read(home)
    expect((kept?.expiresAt ?? 0) - (kept?.at ?? 0)).toBe(600_000)
    expect(readFileSync(join(home, "outbox-000001.ndjson"), "utf8")).toContain("expiresAt")
  })
})
