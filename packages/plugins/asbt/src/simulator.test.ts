import { Authority, type AuthorityError, type Filing, PluginError } from "@mahalla/core/plugin"
import { once } from "node:events"
import { appendFileSync } from "node:fs"
import { createServer, type AddressInfo } from "node:net"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterEach, describe, expect, it } from "vitest"
import { asbt } from "./index.ts"
import { callbackFaults, faultNames, fileFaults, parseFaults, Schedule, statusFaults } from "./simulator/faults.ts"
import { filing } from "./test/filing.ts"
import {
  admin,
  effectsOf,
  type Opening,
  provided,
  secret,
  start,
  stop,
  temporary,
  type Simulator
} from "./test/simulator.ts"

const running: Array<Simulator> = []
const launch = async (data: string, ...args: ReadonlyArray<string>) => {
  const simulator = await start(data, ...args)
  running.push(simulator)
  return simulator
}
afterEach(() => Promise.all(running.splice(0).map((simulator) => stop(simulator))))

const withAsbt = <A, E>(
  url: string,
  use: (authority: Authority["Service"]) => Effect.Effect<A, E>,
  opening: Opening = {}
) =>
  Effect.runPromise(
    Effect.flatMap(Authority, use).pipe(Effect.provide(provided(asbt({ url, secret, timeout: 500 }), opening)))
  )

/** What the engine's queue does: never a new number, and only an answer about the number ends it. */
const drive = Effect.fnUntraced(function* (
  authority: Authority["Service"],
  asked: Filing,
  until: ReadonlyArray<string>
) {
  let state = "not-found"
  while (!until.includes(state)) {
    const step: Effect.Effect<{ readonly state: string }, AuthorityError> =
      state === "not-found" ? authority.file(asked) : authority.status(asked.number)
    const said = yield* Effect.catch(step, () =>
      Effect.as(Effect.sleep(20), { state: state === "not-found" ? state : "unknown" })
    )
    state = said.state
    if (!until.includes(state)) yield* Effect.sleep(10)
  }
  return state
})

describe("simulator", () => {
  it("files_each_number_once_and_decides_it_under_every_fault", async () => {
    const names = [...fileFaults, ...statusFaults, ...callbackFaults]
    for (const seed of [1, 2, 3]) {
      const { url } = await launch(
        join(temporary(), "f.ndjson"),
        ...["--slow", "700", "--late", "100", "--decide", "300", "--seed", `${seed}`],
        ...["--faults", names.map((name) => `${name}=0.05`).join(",")]
      )
      const asked = Array.from({ length: 50 }, () => filing())
      const ends = await withAsbt(url, (authority) =>
        Effect.forEach(asked, (one) => drive(authority, one, ["decided", "refused"]), { concurrency: 8 })
      )
      const effects = await effectsOf(url)
      expect(asked.map(({ number }) => effects[number]?.effects)).toEqual(
        ends.map((end) => (end === "decided" ? 1 : 0))
      )
      expect(Math.max(...asked.map(({ number }) => effects[number]?.asked ?? 0))).toBeGreaterThan(1)
    }
  })

  it("loses_nothing_and_files_nothing_twice_when_it_is_killed_again_and_again", async () => {
    const data = join(temporary(), "f.ndjson")
    let { url, process } = await launch(data)
    const asked = Array.from({ length: 40 }, () => filing())
    const { port } = new URL(url)
    const kills = (async () => {
      for (let kill = 0; kill < 4; kill++) {
        await new Promise((resolve) => setTimeout(resolve, 60))
        await stop({ url, process }, "SIGKILL")
        ;({ url, process } = await launch(data, "--port", port))
      }
    })()
    await withAsbt(url, (authority) =>
      Effect.forEach(asked, (one) => Effect.delay(drive(authority, one, ["accepted", "received"]), 15), {
        concurrency: 2
      })
    )
    await kills
    const effects = await effectsOf(url)
    expect(asked.map(({ number }) => effects[number]?.effects)).toEqual(asked.map(() => 1))
  })

  it("never_works_on_a_book_that_another_one_has_and_forgets_half_a_line", async () => {
    const data = join(temporary(), "f.ndjson")
    const first = await launch(data)
    await expect(start(data)).rejects.toThrow("ended with 3")
    const asked = filing()
    await withAsbt(first.url, (authority) => authority.file(asked))
    await stop(first, "SIGKILL")
    appendFileSync(data, '{"type":"filed","number":"torn')
    const { url } = await launch(data)
    await withAsbt(url, (authority) => authority.file(filing()))
    expect(await effectsOf(url)).toMatchObject({ [asked.number]: { effects: 1 } })
    expect(Object.keys(await effectsOf(url))).toHaveLength(2)
  })

  it("decides_by_itself_and_reverses_what_it_is_told_to", async () => {
    const { url } = await launch(join(temporary(), "f.ndjson"), "--decide", "400")
    await admin(url, "faults", { next: ["reversed", "dismissed"] })
    const [reversed, dismissed] = [filing(), filing()]
    const verdicts = await withAsbt(url, ({ file, status }) =>
      Effect.gen(function* () {
        yield* file(reversed)
        yield* file(dismissed)
        const verdictOf = ({ number }: Filing) =>
          Effect.map(status(number), (said) =>
            said.state === "decided" ? `${said.verdict} ${said.reference.slice(-1)}` : said.state
          )
        const first = [yield* verdictOf(reversed)]
        yield* Effect.sleep(600)
        first.push(yield* verdictOf(reversed), yield* verdictOf(dismissed))
        yield* Effect.sleep(500)
        return [...first, yield* verdictOf(reversed)]
      })
    )
    expect(verdicts).toEqual(["received", "fined 1", "dismissed 1", "dismissed 2"])
  })

  it("meets_the_same_faults_for_the_same_numbers_in_whatever_order_they_come", () => {
    const ids = Array.from({ length: 200 }, (_, index) => `id-${index}`)
    const draw = (seed: number, order: ReadonlyArray<string>) => {
      const schedule = new Schedule(parseFaults("lost-after=0.3,slow=0.3"), seed)
      const drawn = new Map(order.map((id) => [id, schedule.draw(id, fileFaults)]))
      return ids.map((id) => drawn.get(id))
    }
    expect(draw(7, ids)).toEqual(draw(7, ids.toReversed()))
    expect(draw(7, ids)).not.toEqual(draw(8, ids))
  })

  it("says_what_it_does_not_understand", async () => {
    await expect(start(join(temporary(), "f.ndjson"), "--faults", "lost=0.1")).rejects.toThrow("ended with 2")
    expect(() => parseFaults("slow=2")).toThrow("between 0 and 1")
    expect(new Set(faultNames).size).toBe(faultNames.length)
  })
})

describe("plugin", () => {
  it("says_unavailable_where_nobody_listens_and_unknown_where_a_gateway_answers", async () => {
    const listener = createServer().listen(0, "127.0.0.1")
    await once(listener, "listening")
    const { port } = listener.address() as AddressInfo
    await new Promise((resolve) => listener.close(resolve))
    const gone = await withAsbt(`http://127.0.0.1:${port}`, ({ file }) => Effect.flip(file(filing())))
    expect(gone).toMatchObject({ reason: "Unavailable", retryable: true })
    const { url } = await launch(join(temporary(), "f.ndjson"))
    await admin(url, "outage", { closed: true })
    const asked = filing()
    const behind = await withAsbt(url, ({ file, status }) =>
      Effect.all([file(asked), Effect.flip(status(asked.number))])
    )
    expect(behind).toMatchObject([{ state: "unknown" }, { reason: "Unavailable" }])
  })

  it("is_not_known_with_another_secret_and_believes_nobody_without_its_own", async () => {
    const { url } = await launch(join(temporary(), "f.ndjson"))
    const stranger = asbt({ url, secret: "a secret that the authority does not know" })
    const error = await Effect.runPromise(
      Effect.flatMap(Authority, ({ file }) => Effect.flip(file(filing()))).pipe(Effect.provide(provided(stranger)))
    )
    expect(error).toMatchObject({ reason: "Unauthorized", retryable: false })
    expect(JSON.stringify(error)).not.toContain("01A777AA")
  })

  it("goes_to_no_address_inside_that_the_operator_did_not_name", async () => {
    for (const address of ["http://169.254.169.254", "http://localhost:1", "http://[::1]:80"]) {
      const error = await withAsbt(address, ({ file }) => Effect.flip(file(filing())), { networks: [] })
      expect(error).toMatchObject({ reason: "Unauthorized", retryable: false })
      expect(error.message).toContain("outwardNetworks")
    }
  })

  it("runs_a_sandbox_of_its_own_that_keeps_its_book_over_a_kill", async () => {
    const home = temporary()
    const asked = filing()
    const pids: Array<number> = []
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const context = yield* Layer.build(provided(asbt({ sandbox: { decide: 0 } }), { home, networks: [] }))
          const use = <A, E>(call: (authority: Authority["Service"]) => Effect.Effect<A, E>) =>
            Effect.provideContext(Effect.flatMap(Authority, call), context)
          yield* use((authority) => drive(authority, asked, ["accepted"]))
          const [before] = yield* Effect.promise(children)
          process.kill(before!, "SIGKILL")
          yield* use((authority) =>
            Effect.retry(authority.status(asked.number), { times: 20, while: () => true })
          ).pipe(Effect.map((said) => expect(said.state).toBe("received")))
          const after = yield* Effect.promise(children)
          expect(after).not.toContain(before)
          pids.push(before!, ...after)
        })
      )
    )
    for (let tries = 0; tries < 100 && pids.some(isAlive); tries++) await new Promise((done) => setTimeout(done, 50))
    expect(pids.filter(isAlive)).toEqual([])
  })

  it("starts_in_production_with_an_authority_only", async () => {
    const refusal = (plugin: ReturnType<typeof asbt>) =>
      Effect.runPromise(Effect.flip(Effect.scoped(Layer.build(provided(plugin, { mode: "production" })))))
    const [without, open] = [await refusal(asbt({})), await refusal(asbt({ url: "https://asbt.example" }))]
    expect(without).toBeInstanceOf(PluginError)
    expect((without as PluginError).message).toContain("fines nobody")
    expect((open as PluginError).message).toContain("secret")
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
