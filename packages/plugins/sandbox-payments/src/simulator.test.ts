import { Payments, type PaymentRequest } from "@mahalla/core/plugin"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { appendFileSync, existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { afterEach, describe, expect, it } from "vitest"
import { sandboxPayments } from "./index.ts"
import { faultNames, parseFaults, Schedule, type FaultRates } from "./simulator/faults.ts"
import { admin, effectsOf, provided, start, stop, type Simulator } from "./test/simulator.ts"
import { temporary } from "./test/temporary.ts"

const running: Array<Simulator> = []
const launch = async (data: string, ...args: ReadonlyArray<string>) => {
  const simulator = await start(data, ...args)
  running.push(simulator)
  return simulator
}
afterEach(() => Promise.all(running.splice(0).map((simulator) => stop(simulator))))

const request = (id: string = randomUUID()): PaymentRequest => ({
  id,
  payee: { kind: "phone", value: "+998901234567" },
  money: { amount: 50_000n, currency: "UZS" },
  memo: "Reward"
})

const withPayments = <A, E>(url: string, use: (payments: Payments["Service"]) => Effect.Effect<A, E>) =>
  Effect.runPromise(
    Effect.flatMap(Payments, use).pipe(Effect.provide(provided(sandboxPayments({ url, timeout: 500 }), temporary())))
  )

/** What the engine's job does: never a new id, and only an answer about the id ends it. */
const drive = Effect.fnUntraced(function* (payments: Payments["Service"], asked: PaymentRequest) {
  let outcome: { readonly state: string } = { state: "not-found" }
  while (outcome.state !== "succeeded" && outcome.state !== "failed") {
    const step = outcome.state === "not-found" ? payments.pay(asked) : payments.status(asked.id)
    outcome = yield* Effect.catch(step, () => Effect.as(Effect.sleep(20), { state: "unknown" }))
  }
  return outcome.state
})

const today = () => new Date().toISOString().slice(0, 10)

describe("simulator", () => {
  it("pays at most once for every id under every fault, and register and outcomes agree", async () => {
    const rates = Object.fromEntries(faultNames.map((name) => [name, name === "register-gap" ? 0 : 0.05])) as FaultRates
    for (const seed of [1, 2, 3]) {
      const { url } = await launch(
        join(temporary(), "p.ndjson"),
        "--slow",
        "400",
        "--settle",
        "100",
        "--seed",
        `${seed}`
      )
      await admin(url, "PUT", "faults", { rates })
      const requests = Array.from({ length: 60 }, () => request())
      await withPayments(url, (payments) =>
        Effect.gen(function* () {
          const ends = yield* Effect.forEach(requests, (asked) => drive(payments, asked), { concurrency: 8 })
          const effects = yield* Effect.promise(() => effectsOf(url))
          const paid = requests.filter((_, index) => ends[index] === "succeeded").map((asked) => asked.id)
          expect(requests.map((asked) => effects[asked.id]?.effects)).toEqual(
            ends.map((end) => (end === "succeeded" ? 1 : 0))
          )
          expect(Math.max(...requests.map((asked) => effects[asked.id]?.asked ?? 0))).toBeGreaterThan(1)
          const lines = yield* Stream.runCollect(payments.register(today()))
          const booked = lines.filter((line) => line.state === "succeeded").map((line) => line.id)
          expect(booked.sort()).toEqual(paid.sort())
        })
      )
    }
  })

  it("loses no payment and makes none twice when it is killed again and again", async () => {
    const data = join(temporary(), "p.ndjson")
    let { url, process } = await launch(data)
    const requests = Array.from({ length: 40 }, () => request())
    const port = new URL(url).port
    const kills = (async () => {
      for (let kill = 0; kill < 4; kill++) {
        await new Promise((resolve) => setTimeout(resolve, 60))
        await stop({ url, process }, "SIGKILL")
        ;({ url, process } = await launch(data, "--port", port))
      }
    })()
    await withPayments(url, (payments) =>
      Effect.forEach(requests, (asked) => Effect.delay(drive(payments, asked), 15), { concurrency: 2 })
    )
    await kills
    const effects = await effectsOf(url)
    expect(requests.map((asked) => effects[asked.id]?.effects)).toEqual(requests.map(() => 1))
  })

  it("never works on a data file that another one has", async () => {
    const data = join(temporary(), "p.ndjson")
    await launch(data)
    await expect(start(data)).rejects.toThrow("ended with 3")
  })

  it("forgets the beginning of a line that a crash left behind", async () => {
    const data = join(temporary(), "p.ndjson")
    const first = await launch(data)
    const asked = request()
    await withPayments(first.url, (payments) => payments.pay(asked))
    await stop(first, "SIGKILL")
    appendFileSync(data, '{"type":"accepted","id":"torn')
    const { url } = await launch(data)
    await withPayments(url, (payments) => payments.pay(request()))
    expect(await effectsOf(url)).toMatchObject({ [asked.id]: { effects: 1 } })
    expect(Object.keys(await effectsOf(url))).toHaveLength(2)
  })

  it("ends when its folder is removed, and leaves alone what stands there then", async () => {
    const folder = join(temporary(), "home")
    const data = join(folder, "p.ndjson")
    const old = await launch(data)
    const gone = once(old.process, "exit")
    rmSync(folder, { recursive: true })
    const { url, process } = await launch(data)
    await gone
    const state = JSON.parse(readFileSync(`${data}.state.json`, "utf8")) as { readonly pid: number }
    expect(state.pid).toBe(process.pid)
    await withPayments(url, (payments) => payments.pay(request()))
  })

  it("is found again when the file that names it was lost", async () => {
    const data = join(temporary(), "p.ndjson")
    const { process } = await launch(data)
    rmSync(`${data}.state.json`)
    while (!existsSync(`${data}.state.json`)) await new Promise((resolve) => setTimeout(resolve, 50))
    expect(JSON.parse(readFileSync(`${data}.state.json`, "utf8"))).toMatchObject({ pid: process.pid })
  })

  it("leaves a line out of the register when told to", async () => {
    const { url } = await launch(join(temporary(), "p.ndjson"))
    const lines = await withPayments(url, (payments) =>
      Effect.gen(function* () {
        yield* payments.pay(request())
        yield* payments.pay(request())
        yield* Effect.promise(() => admin(url, "PUT", "faults", { next: ["register-gap"] }))
        return yield* Stream.runCollect(payments.register(today()))
      })
    )
    expect(lines).toHaveLength(1)
  })

  it("takes a payment back by itself, and the register says so", async () => {
    const { url } = await launch(join(temporary(), "p.ndjson"), "--settle", "50")
    const asked = request()
    const states = await withPayments(url, (payments) =>
      Effect.gen(function* () {
        yield* Effect.promise(() => admin(url, "PUT", "faults", { next: ["returned"] }))
        yield* payments.pay(asked)
        yield* Effect.sleep(80)
        return (yield* Stream.runCollect(payments.register(today()))).map((line) => line.state)
      })
    )
    expect(states.sort()).toEqual(["returned", "succeeded"])
  })
})

describe("schedule of faults", () => {
  it("depends on seed, id and try alone", () => {
    const rates = parseFaults("lost-after=0.3, slow=0.3")
    const ids = Array.from({ length: 200 }, (_, index) => `id-${index}`)
    const draw = (seed: number, order: ReadonlyArray<string>) => {
      const schedule = new Schedule(rates, seed)
      const drawn = new Map(order.map((id) => [id, schedule.forPayment(id)]))
      return ids.map((id) => drawn.get(id))
    }
    expect(draw(7, ids)).toEqual(draw(7, ids.toReversed()))
    expect(draw(7, ids)).not.toEqual(draw(8, ids))
    const share = draw(7, ids).filter((fault) => fault === "lost-after").length / ids.length
    expect(share).toBeGreaterThan(0.2)
    expect(share).toBeLessThan(0.4)
  })

  it("says what it does not understand", () => {
    expect(() => parseFaults("lost=0.1")).toThrow('no fault "lost"')
    expect(() => parseFaults("slow=2")).toThrow("between 0 and 1")
  })
})
