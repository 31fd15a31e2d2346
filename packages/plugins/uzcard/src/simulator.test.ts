import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { appendFileSync, readFileSync } from "node:fs"
import { Payments } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { parseFaults, payFaults, Schedule } from "./simulator/faults.ts"
import { request } from "./test/drive.ts"
import { effectsOf, rail, start, stop, temporary } from "./test/simulator.ts"

const pay = (url: string, asked = request()) =>
  Effect.runPromise(
    Effect.flatMap(Payments, (payments) => payments.pay(asked)).pipe(Effect.provide(rail(url)), Effect.as(asked.id))
  )

describe("simulator", () => {
  it("never_works_on_a_file_that_another_one_has", async () => {
    const data = `${temporary()}/uzcard.ndjson`
    await start(data)
    await expect(start(data)).rejects.toThrow("ended with 3")
  })

  it("says_what_it_does_not_understand", async () => {
    await expect(start(`${temporary()}/uzcard.ndjson`, "--faults", "lost=0.1")).rejects.toThrow("ended with 2")
    expect(() => parseFaults("lost=0.1")).toThrow('no fault "lost"')
    expect(() => parseFaults("slow=2")).toThrow("between 0 and 1")
  })

  it("has_everything_after_kill_9_and_forgets_the_beginning_of_a_line_that_nobody_has_heard_of", async () => {
    const data = `${temporary()}/uzcard.ndjson`
    const first = await start(data)
    const id = await pay(first.url)
    await stop(first, "SIGKILL")
    const whole = readFileSync(data, "utf8")
    appendFileSync(data, '{"id":"torn')
    const second = await start(data)
    expect(await effectsOf(second.url)).toEqual({ [id]: 1 })
    const other = await pay(second.url)
    expect(await effectsOf(second.url)).toEqual({ [id]: 1, [other]: 1 })
    expect(readFileSync(data, "utf8").startsWith(whole)).toBe(true)
    await stop(second)
    for (const line of readFileSync(data, "utf8").trimEnd().split("\n")) expect(JSON.parse(line)).toHaveProperty("id")
  })

  it("ends_with_the_process_that_started_it", async () => {
    const { process: child } = await start(`${temporary()}/uzcard.ndjson`, "--with-parent")
    const gone = once(child, "exit")
    child.stdin?.end()
    expect((await gone)[0]).toBe(0)
  })
})

describe("schedule of faults", () => {
  it("depends_on_seed_id_and_try_alone", () => {
    const ids = Array.from({ length: 200 }, () => randomUUID())
    const draw = (seed: number, order: ReadonlyArray<string>) => {
      const schedule = new Schedule(parseFaults("lost-after=0.3, slow=0.3"), seed)
      const drawn = new Map(order.map((id) => [id, schedule.draw(id, payFaults)]))
      return ids.map((id) => drawn.get(id))
    }
    expect(draw(7, ids)).toEqual(draw(7, ids.toReversed()))
    expect(draw(7, ids)).not.toEqual(draw(8, ids))
    const share = draw(7, ids).filter((fault) => fault === "lost-after").length / ids.length
    expect(share).toBeGreaterThan(0.2)
    expect(share).toBeLessThan(0.4)
  })
})
