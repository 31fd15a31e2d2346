import {
  IdentityCheck,
  type IdentityCheckError,
  type IdentityQuestion,
  type Plugin,
  PluginError
} from "@mahalla/core/plugin"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { createServer, type AddressInfo } from "node:net"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterEach, describe, expect, it } from "vitest"
import { sandboxIdentity } from "./index.ts"
import { faultNames, parseFaults, Schedule } from "./simulator/faults.ts"
import { control, people, provided, start, stop, type Simulator } from "./test/simulator.ts"

const running: Array<Simulator> = []
const launch = async (...args: ReadonlyArray<string>) => {
  const simulator = await start(...args)
  running.push(simulator)
  return simulator
}
afterEach(() => Promise.all(running.splice(0).map((simulator) => stop(simulator))))

const question = (claims = people.known): IdentityQuestion => ({ id: randomUUID(), claims, purpose: "A test" })

const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(effect)
const check = (plugin: Plugin, asked: IdentityQuestion, networks?: ReadonlyArray<string>) =>
  Effect.flatMap(IdentityCheck, (register) => register.check(asked)).pipe(Effect.provide(provided(plugin, networks)))

/** What the engine's job does: never a new id, and only an answer ends it. */
const drive = Effect.fnUntraced(function* (register: IdentityCheck["Service"], asked: IdentityQuestion) {
  for (;;) {
    const answer = yield* Effect.catch(register.check(asked), () => Effect.succeed({ state: "unknown" } as const))
    if (answer.state !== "unknown") return answer.state
    yield* Effect.sleep(10)
  }
})

describe("simulator", () => {
  it("gives every question its right answer in the end under every fault", async () => {
    const faults = faultNames.map((name) => `${name}=0.07`).join(",")
    const { url } = await launch("--slow", "400", "--seed", "3", "--faults", faults)
    const asked = Array.from({ length: 60 }, (_, place) => question(place % 3 === 0 ? people.stranger : people.known))
    const states = await run(
      Effect.flatMap(IdentityCheck, (register) =>
        Effect.forEach(asked, (one) => drive(register, one), { concurrency: 8 })
      ).pipe(Effect.provide(provided(sandboxIdentity({ url, timeout: 250 }))))
    )
    expect(states).toEqual(asked.map((_, place) => (place % 3 === 0 ? "not-confirmed" : "confirmed")))
    const times = await run(Effect.forEach(asked, ({ id }) => control(url).asked(id)))
    expect(Math.max(...times)).toBeGreaterThan(1)
  })

  it("ends with the process that started it, also when that one could not say so", async () => {
    const { process: child } = await launch("--with-parent")
    const gone = once(child, "exit")
    child.stdin?.end()
    expect((await gone)[0]).toBe(0)
  })

  it("says what it does not understand", async () => {
    await expect(start("--faults", "lost=0.1")).rejects.toThrow("ended with 2")
    expect(() => parseFaults("slow=2")).toThrow("between 0 and 1")
  })

  it("meets the same faults for the same ids in whatever order they come", () => {
    const ids = Array.from({ length: 200 }, (_, index) => `id-${index}`)
    const draw = (seed: number, order: ReadonlyArray<string>) => {
      const schedule = new Schedule(parseFaults("lost-after=0.3,slow=0.3"), seed)
      const drawn = new Map(order.map((id) => [id, schedule.draw(id)]))
      return ids.map((id) => drawn.get(id))
    }
    expect(draw(7, ids)).toEqual(draw(7, ids.toReversed()))
    expect(draw(7, ids)).not.toEqual(draw(8, ids))
  })
})

describe("plugin", () => {
  it("runs a simulator of its own, starts another when it was killed, and ends it when it is closed", async () => {
    const pids: Array<number> = []
    const plugin = sandboxIdentity({ timeout: 3_000 })
    await run(
      Effect.scoped(
        Effect.gen(function* () {
          // In a city that lets nothing go inside.
          const context = yield* Layer.build(provided(plugin, []))
          const ask = Effect.flatMap(IdentityCheck, (register) => drive(register, question())).pipe(
            Effect.provideContext(context)
          )
          expect(yield* ask).toBe("confirmed")
          const before = yield* Effect.promise(children)
          process.kill(before[0]!, "SIGKILL")
          expect(yield* ask).toBe("confirmed")
          const after = yield* Effect.promise(children)
          expect(after).not.toEqual(before)
          pids.push(...before, ...after)
        })
      )
    )
    for (let tries = 0; tries < 100 && pids.some(isAlive); tries++) await new Promise((done) => setTimeout(done, 50))
    expect(pids.filter(isAlive)).toEqual([])
  })

  it("goes to no address inside that the operator did not name", async () => {
    const { url } = await launch()
    for (const address of [url, "http://169.254.169.254", "http://localhost:1", "http://[::1]:80"]) {
      const error = await run(Effect.flip(check(sandboxIdentity({ url: address }), question(), [])))
      expect(error).toMatchObject({ reason: "Unauthorized", retryable: false })
      expect((error as IdentityCheckError).message).toContain("outwardNetworks")
    }
    expect(await run(check(sandboxIdentity({ url }), question(), ["127.0.0.0/8"]))).toMatchObject({
      state: "confirmed"
    })
  })

  it("does not know the answer when nobody listens", async () => {
    const listener = createServer().listen(0, "127.0.0.1")
    await once(listener, "listening")
    const { port } = listener.address() as AddressInfo
    await new Promise((resolve) => listener.close(resolve))
    expect(await run(check(sandboxIdentity({ url: `http://127.0.0.1:${port}/` }), question()))).toEqual({
      state: "unknown",
      message: "The register's answer was lost."
    })
  })

  it("is refused in production", async () => {
    const error = await run(Effect.flip(Effect.scoped(Layer.build(provided(sandboxIdentity({}), [], "production")))))
    expect(error).toBeInstanceOf(PluginError)
    expect((error as PluginError).message).toContain("confirms anybody")
  })
})

/** Simulators that this process has started. */
const children = async (): Promise<ReadonlyArray<number>> => {
  const { execFileSync } = await import("node:child_process")
  const lines = execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(process.pid)], { encoding: "utf8" })
  return lines
    .split("\n")
    .filter((line) => line.includes("--with-parent"))
    .map((line) => Number(line.trim().split(" ")[0]))
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
