/** Live readings and events as server-sent events: who gets what, from which process, and what happens to those who fall behind. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type Client, follow, until } from "./client.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { districtsOf, type Meter, meterOf, staffIn } from "./meters.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let districts: Awaited<ReturnType<typeof districtsOf>>
let north: Meter
let south: Meter
let inner: Meter
let engineer: Client
let theirEngineer: Client

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  engineer = await staffIn(kit, "samarkand", "device-engineer", null)
  theirEngineer = await staffIn(kit, "bukhara", "device-engineer", null)
  districts = await districtsOf(kit, "samarkand")
  north = await meterOf(kit, "samarkand", "north", { territoryId: districts.north, groups: ["mains"] })
  inner = await meterOf(kit, "samarkand", "inner", { territoryId: districts.within })
  south = await meterOf(kit, "samarkand", "south", { territoryId: districts.south, groups: ["mains", "old"] })
})
afterAll(() => kit?.close())

const watch = (client: Client, query = "", lastEventId?: string) =>
  follow(client, lastEventId, `/v1/readings/live${query}`)

type Watching = Awaited<ReturnType<typeof watch>>

/** `device key value`, in the order in which they came. */
const readingsOf = ({ seen }: Watching): ReadonlyArray<string> =>
  seen
    .filter(({ event }) => event === "readings")
    .flatMap(({ data }) =>
      data.readings.map(
        (one: { device: string; key: string; value: number }) => `${one.device} ${one.key} ${one.value}`
      )
    )

const hears = (watching: Watching, what: string) => until(what, async () => readingsOf(watching).includes(what), 10)

describe("a live feed of readings", () => {
  test("tells_of_readings_that_another_process_took_in_and_of_its_own", async () => {
    const other = await kit.another()
    const elsewhere = await watch({ ...engineer, base: `${other.url}/t/samarkand` })
    const here = await watch(engineer)
    expect([elsewhere.status, elsewhere.headers.get("content-type")]).toEqual([200, "text/event-stream"])
    await north.send({ pressure: 3.5 })
    await Promise.all([hears(here, "north pressure 3.5"), hears(elsewhere, "north pressure 3.5")])
    await north.send({ pressure: 3.6 }, other.url)
    await Promise.all([hears(here, "north pressure 3.6"), hears(elsewhere, "north pressure 3.6")])
    const [first] = here.seen
    const [batch] = await kit.sql<{ number: string }>("select min(number)::text as number from mahalla.reading_batch")
    expect(first!.id).toBe(batch!.number)
    expect(first!.data.readings[0]).toEqual({
      deviceId: north.id,
      device: "north",
      key: "pressure",
      unit: "bar",
      at: expect.stringMatching(/Z$/),
      value: 3.5,
      quality: 0,
      sequence: 0
    })
    await Promise.all([here.stop(), elsewhere.stop()])
    await other.close()
  })

  test("tells_of_the_devices_groups_territories_and_keys_that_were_asked_for", async () => {
    const asked = {
      devices: await watch(engineer, `?devices=${inner.id},${south.id}`),
      group: await watch(engineer, "?groups=old"),
      territory: await watch(engineer, `?territory=${districts.north}`),
      keys: await watch(engineer, "?keys=flow"),
      both: await watch(engineer, `?territory=${districts.north}&keys=flow`)
    }
    for (const [place, meter] of [north, inner, south].entries())
      await meter.send({ pressure: place, flow: 10 + place })
    await hears(asked.devices, "south flow 12")
    await hears(asked.group, "south flow 12")
    await hears(asked.keys, "south flow 12")
    await hears(asked.territory, "inner flow 11")
    const got = Object.fromEntries(
      Object.entries(asked).map(([name, watching]) => [name, [...readingsOf(watching)].sort()])
    )
    expect(got).toEqual({
      devices: ["inner flow 11", "inner pressure 1", "south flow 12", "south pressure 2"],
      group: ["south flow 12", "south pressure 2"],
      territory: ["inner flow 11", "inner pressure 1", "north flow 10", "north pressure 0"],
      keys: ["inner flow 11", "north flow 10", "south flow 12"],
      both: ["inner flow 11", "north flow 10"]
    })
    await Promise.all(Object.values(asked).map(({ stop }) => stop()))
  })

  test("resumes_after_a_cut_without_loss_or_repetition", async () => {
    const before = await watch(engineer)
    await north.send({ flow: 100 })
    await hears(before, "north flow 100")
    const { id } = before.seen.at(-1)!
    await before.stop()
    for (let value = 101; value <= 130; value++) await north.send({ flow: value })
    const after = await watch(engineer, "?keys=flow", id)
    await north.send({ flow: 131 })
    await hears(after, "north flow 131")
    expect(readingsOf(after)).toEqual(Array.from({ length: 31 }, (_, place) => `north flow ${101 + place}`))
    // From the address, for who cannot set headers.
    const again = await watch(engineer, `?keys=flow&after=${id}`)
    await hears(again, "north flow 131")
    expect(readingsOf(again)).toEqual(readingsOf(after))
    await Promise.all([after.stop(), again.stop()])
  })

  test("says_what_is_missing_where_batches_are_not_kept_any_more_or_belong_to_another_time", async () => {
    const [head] = await kit.sql<{ number: string }>("select max(number)::text as number from mahalla.reading_batch")
    const [first] = await kit.sql<{ number: string }>(
      "delete from mahalla.reading_batch where number <= 3 returning number"
    )
    expect(first).toBeDefined()
    // One that has nothing in memory.
    const other = await kit.another()
    const old = await watch({ ...engineer, base: `${other.url}/t/samarkand` }, "", "0")
    await until("a gap", async () => old.seen[0])
    expect(old.seen[0]).toMatchObject({ id: "3", event: "gap", data: { after: 0, to: 3, since: null } })
    await until("the rest", async () => old.seen.at(-1)!.id === head!.number)
    const ahead = await watch(engineer, "", "999999")
    await until("a gap", async () => ahead.seen[0])
    expect(ahead.seen[0]).toMatchObject({
      event: "gap",
      data: { after: 999999, to: Number(head!.number), since: null }
    })
    await south.send({ flow: 7 })
    await hears(ahead, "south flow 7")
    await Promise.all([old.stop(), ahead.stop()])
    await other.close()
  })

  test("shows_somebody_of_a_district_that_district_and_ends_when_the_role_is_taken_away", async () => {
    const local = await staffIn(kit, "samarkand", "device-engineer", districts.north)
    const watching = await watch(local)
    await south.send({ pressure: 50 })
    await inner.send({ pressure: 51 })
    await hears(watching, "inner pressure 51")
    expect(readingsOf(watching)).toEqual(["inner pressure 51"])
    expect((await local.dismiss()).status).toBe(204)
    await inner.send({ pressure: 52 })
    const began = Date.now()
    await watching.ended
    expect(Date.now() - began).toBeLessThan(10_000)
    expectProblem("after it", await local.get("/v1/readings/live"), { status: 403, type: "forbidden" })
  })

  test("is_refused_to_who_may_see_no_readings_and_to_questions_that_are_none", async () => {
    expectProblem("visitor", await kit.samarkand.visitor.get("/v1/readings/live"), { status: 403, type: "forbidden" })
    for (const query of ["devices=x", "territory=x", "keys=%20", "after=-1", "groups=,"])
      expectProblem(query, await engineer.get(`/v1/readings/live?${query}`), { status: 400, type: "invalid-input" })
  })

  test.each(["/v1/readings/live", "/v1/events"])("%s_is_one_of_thirty_at_most_of_one_person", async (path) => {
    const local = await staffIn(kit, "samarkand", "device-engineer", null)
    for (let turn = 0; turn < 2; turn++) {
      await until("places", async () => {
        const feeds = await Promise.all(Array.from({ length: 30 }, () => follow(local, undefined, path)))
        const good = feeds.every(({ status }) => status === 200)
        if (good) expectProblem("one more", await local.get(path), { status: 429, type: "too-many-requests" })
        await Promise.all(feeds.map(({ stop }) => stop()))
        return good
      })
    }
  })

  test("knows_nothing_of_another_city", async () => {
    const theirs = await meterOf(kit, "bukhara", "theirs")
    const here = await watch(engineer)
    const there = await watch(theirEngineer)
    await theirs.send({ flow: 1 })
    await hears(there, "theirs flow 1")
    await north.send({ flow: 2 })
    await hears(here, "north flow 2")
    expect([readingsOf(here), readingsOf(there)]).toEqual([["north flow 2"], ["theirs flow 1"]])
    await Promise.all([here.stop(), there.stop()])
  })
})
