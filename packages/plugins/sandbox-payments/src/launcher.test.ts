import { Payments, PluginError, type PaymentsError } from "@mahalla/core/plugin"
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { createServer, type AddressInfo } from "node:net"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describe, expect, it } from "vitest"
import { findSimulator, sandboxPayments, type Running } from "./index.ts"
import { provided } from "./test/simulator.ts"
import { temporary } from "./test/temporary.ts"

const request = () => ({
  id: randomUUID(),
  payee: { kind: "phone", value: "+998901234567" } as const,
  money: { amount: 50_000n, currency: "UZS" },
  memo: "Reward"
})
const open = (home: string) => Layer.build(provided(sandboxPayments({}), home))
const found = (home: string) =>
  Effect.filterOrFail(findSimulator(home), (running): running is Running => running !== undefined)
const run = <A, E>(effect: Effect.Effect<A, E, never>) => Effect.runPromise(effect)

describe("simulator of the plugin's own", () => {
  it("starts with the plugin, is shared by those who open the same home, and ends with it", async () => {
    const home = temporary()
    await run(
      Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.all([open(home), open(home)], { concurrency: 2 })
          const { pid } = yield* found(home)
          expect(pid).toBeGreaterThan(0)
        })
      )
    )
    expect(await run(findSimulator(home))).toBeUndefined()
  })

  it("outlives a killed server, and the next one finds it with its payments", async () => {
    const home = temporary()
    const holder = spawn(
      process.execPath,
      [
        "--conditions=@mahalla/source",
        "--disable-warning=ExperimentalWarning",
        fileURLToPath(new URL("./test/holder.ts", import.meta.url)),
        home
      ],
      { stdio: ["ignore", "pipe", "inherit"] }
    )
    const [line] = (await once(createInterface(holder.stdout), "line")) as [string]
    const before = JSON.parse(line) as Running
    const gone = once(holder, "exit")
    holder.kill("SIGKILL")
    await gone
    await run(
      Effect.scoped(
        Effect.gen(function* () {
          yield* open(home)
          expect(yield* found(home)).toEqual(before)
        })
      )
    )
    expect(await run(findSimulator(home))).toBeUndefined()
  })

  it("is started again on the same payments when it was killed", async () => {
    const asked = request()
    await run(
      Effect.scoped(
        Effect.gen(function* () {
          const home = temporary()
          const context = yield* open(home)
          const pay = Effect.flatMap(Payments, (payments) => payments.pay(asked)).pipe(Effect.provideContext(context))
          const first = yield* pay
          const { pid } = yield* found(home)
          process.kill(pid, "SIGKILL")
          while ((yield* findSimulator(home)) !== undefined) yield* Effect.sleep(20)
          // A dying process may still take a connection and drop it, which is honestly unknown.
          expect(yield* Effect.repeat(pay, { until: (outcome) => outcome.state !== "unknown" })).toEqual(first)
          expect((yield* found(home)).pid).not.toBe(pid)
        })
      )
    )
  })

  it("is refused in production", async () => {
    const error = await run(
      Effect.flip(Effect.scoped(Layer.build(provided(sandboxPayments({}), temporary(), "production"))))
    )
    expect(error).toBeInstanceOf(PluginError)
    expect((error as PluginError).message).toContain("pays nobody")
  })
})

describe("simulator that somebody else runs", () => {
  it("is Unavailable, not unknown, when nothing listens there", async () => {
    const listener = createServer().listen(0, "127.0.0.1")
    await once(listener, "listening")
    const { port } = listener.address() as AddressInfo
    await new Promise((resolve) => listener.close(resolve))
    const plugin = sandboxPayments({ url: `http://127.0.0.1:${port}/` })
    const error: PaymentsError = await run(
      Effect.flip(Effect.flatMap(Payments, (payments) => payments.pay(request()))).pipe(
        Effect.provide(provided(plugin, temporary())),
        Effect.mapError((cause) => cause as never)
      )
    )
    expect(error).toMatchObject({ reason: "Unavailable", retryable: true })
  })

  it("names the key of a configuration that is not usable", async () => {
    const plugin = sandboxPayments({ timeout: 1, faults: { slow: 3 } })
    const error = (await run(Effect.flip(Effect.scoped(Layer.build(provided(plugin, temporary())))))) as PluginError
    expect(error.reason).toBe("InvalidConfig")
    expect(error.message).toContain("timeout")
    expect(error.message).toContain("slow")
  })
})
