import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { inject } from "vitest"
import { addTerritory } from "../../kernel/tenancy/territories.ts"
import { as, outcome } from "../../test/caseRooms.ts"
import { atNoon, choices, Lines, newsCity, newsRoom, noon } from "../../test/newsRoom.ts"
import {
  approveBroadcast,
  cancelBroadcast,
  createBroadcast,
  getBroadcast,
  type GivenBroadcast,
  pauseBroadcast,
  resultsOf,
  resumeBroadcast,
  startBroadcast
} from "./broadcasts.ts"
import { putPreferences } from "./preferences.ts"
import { estimateOf, partsOf } from "./recipients.ts"
import { finishBroadcasts, nextPage } from "./runBroadcast.ts"

const water = {
  category: "city",
  urgency: "normal",
  texts: { en: { text: "{city}: no water tomorrow." }, uz: { text: "{city}: ertaga suv bo‘lmaydi." } }
} as const satisfies GivenBroadcast

const start = Effect.fnUntraced(function* (settings: Parameters<typeof newsCity>[0] = {}) {
  const city = yield* newsCity(settings)
  const admin = yield* city.person({ roles: ["municipality-admin"], phone: false })
  const people = [
    yield* city.person(),
    yield* city.person({ language: "uz-Cyrl" }),
    yield* city.person({ language: "ru" })
  ]
  const engine = { ...admin, kind: "system", id: null } as const
  const area = (parentId: string | null) =>
    Effect.map(as(engine)(addTerritory({ kind: "area", name: { en: "Area" }, parentId })), ({ id }) => id)
  const town = yield* area(null)
  const district = yield* area(town)
  const live = (place: number, territoryId: string) =>
    city.inside(putPreferences(people[place]!.id, { ...choices, territoryId }))
  const make = (given: Partial<GivenBroadcast> = {}) => as(admin)(createBroadcast({ ...water, ...given }))
  const estimated = (id: string) => as(admin)(Effect.flatMap(getBroadcast(id), estimateOf))
  const begin = Effect.fnUntraced(function* (id: string) {
    const { recipients } = yield* estimated(id)
    return yield* as(admin)(startBroadcast(id, recipients, recipients))
  })
  return {
    ...city,
    admin,
    people,
    town,
    district,
    live,
    make,
    estimated,
    begin,
    get: (id: string) => as(admin)(getBroadcast(id))
  }
})

layer(newsRoom(inject("postgresUrl")), { excludeTestServices: true })("a broadcast", (it) => {
  it.effect("is_estimated_started_sent_and_done", () =>
    atNoon(
      Effect.gen(function* () {
        const { begin, estimated, get, inside, make, messages, people, workOff } = yield* start()
        const { id, state } = yield* make()
        assert.strictEqual(state, "draft")
        assert.deepStrictEqual(yield* estimated(id), {
          ...{ people: 4, recipients: 3, parts: 3, cost: null },
          channels: [{ channel: "sms", recipients: 3, parts: 3 }]
        })
        yield* begin(id)
        yield* workOff
        assert.deepStrictEqual(
          (yield* messages).map(({ state: now, text, who }) => [people.findIndex((one) => one.id === who), text, now]),
          [
            [0, "Samarkand: no water tomorrow.", "accepted"],
            [1, "Samarkand: ertaga suv bo‘lmaydi.", "accepted"],
            [2, "Samarkand: ertaga suv bo‘lmaydi.", "accepted"]
          ]
        )
        yield* finishBroadcasts
        assert.deepInclude(yield* get(id), { state: "done", seen: 4, queued: 3, unreachable: 1, recipients: 3 })
        assert.deepStrictEqual(yield* inside(resultsOf(id)), [
          { channel: "sms", state: "accepted", amount: 3, parts: 0, cost: "0" }
        ])
      })
    )
  )

  it.effect("reaches_whom_it_is_for_and_nobody_else", () =>
    atNoon(
      Effect.gen(function* () {
        const { district, estimated, inside, live, make, people, town } = yield* start()
        yield* live(0, town)
        yield* live(1, district)
        const amount = (given: Partial<GivenBroadcast>) =>
          Effect.flatMap(make(given), ({ id }) => Effect.map(estimated(id), ({ recipients }) => recipients))
        assert.strictEqual(yield* amount({ territoryId: town }), 2)
        assert.strictEqual(yield* amount({ territoryId: district }), 1)
        assert.strictEqual(yield* amount({ filters: { languages: ["uz"] } }), 1)
        assert.strictEqual(yield* amount({ filters: { languages: ["uz-Cyrl", "ru"] } }), 2)
        assert.strictEqual(yield* amount({ filters: { role: "municipality-admin" } }), 0)
        assert.strictEqual(yield* amount({ filters: { optedIn: true } }), 0)
        const wishes = (channels: ReadonlyArray<"sms">) => ({ ...choices, categories: { city: { channels } } })
        yield* inside(putPreferences(people[2]!.id, wishes(["sms"])))
        assert.strictEqual(yield* amount({ filters: { optedIn: true } }), 1)
        yield* inside(putPreferences(people[2]!.id, wishes([])))
        assert.strictEqual(yield* amount({}), 2)
        assert.strictEqual(yield* amount({ filters: { optedIn: true } }), 0)
      })
    )
  )

  it.effect("is_refused_where_it_says_nothing_or_too_much_and_to_whoever_may_not", () =>
    atNoon(
      Effect.gen(function* () {
        const { admin, begin, district, estimated, make, person, tenantId } = yield* start()
        assert.strictEqual(yield* outcome(make({ texts: undefined })), "InvalidInput")
        assert.strictEqual(yield* outcome(make({ template: "digest" })), "InvalidInput")
        assert.strictEqual(yield* outcome(make({ texts: { en: { text: "{reference}" } } })), "InvalidInput")
        assert.strictEqual(yield* outcome(make({ texts: { ka: { text: "x" } } })), "InvalidInput")
        assert.strictEqual(yield* outcome(make({ expiresAt: new Date(noon) })), "InvalidInput")
        assert.strictEqual(yield* outcome(make({ territoryId: tenantId })), "NotFound")
        const citizen = yield* person()
        assert.strictEqual(yield* outcome(as(citizen)(createBroadcast(water))), "Forbidden")
        const local = { ...admin, grants: [{ role: "municipality-admin", territoryId: district, until: null }] }
        assert.strictEqual(yield* outcome(as(local)(createBroadcast(water))), "Forbidden")
        const own = yield* as(local)(createBroadcast({ ...water, territoryId: district }))
        assert.strictEqual(own.territoryId, district)
        // The number that was looked at must be the number that it is.
        const { id } = yield* make()
        const { recipients } = yield* estimated(id)
        assert.strictEqual(yield* outcome(as(admin)(startBroadcast(id, 1, recipients))), "Refused estimate-changed")
        yield* begin(id)
        assert.strictEqual(yield* outcome(begin(id)), "Refused wrong-state")
        assert.strictEqual(yield* outcome(as(admin)(pauseBroadcast(id, 1))), "VersionConflict")
      })
    )
  )

  it.effect("above_a_size_waits_for_a_second_pair_of_eyes", () =>
    atNoon(
      Effect.gen(function* () {
        const { admin, begin, get, make, messages, person, workOff } = yield* start({
          notifications: { approveAbove: 2 }
        })
        const { id } = yield* make()
        assert.strictEqual((yield* begin(id)).state, "approval")
        yield* workOff
        assert.lengthOf(yield* messages, 0)
        assert.strictEqual(yield* outcome(as(admin)(approveBroadcast(id))), "Refused four-eyes")
        const other = yield* person({ roles: ["municipality-admin"], phone: false })
        yield* as(other)(approveBroadcast(id))
        yield* workOff
        assert.lengthOf(yield* messages, 3)
        assert.deepInclude(yield* get(id), { approvedBy: other.id, startedBy: admin.id })
      })
    )
  )

  it.effect("stands_still_while_it_is_paused_goes_on_and_ends_when_it_is_cancelled", () =>
    atNoon(
      Effect.gen(function* () {
        const { admin, begin, get, make, messages, work, workOff } = yield* start()
        const { sms } = yield* Lines
        const states = Effect.map(messages, (all) => all.map(({ state }) => state))
        const { id } = yield* make()
        yield* begin(id)
        yield* work
        assert.deepStrictEqual(yield* states, ["queued", "queued", "queued"])
        yield* as(admin)(pauseBroadcast(id))
        yield* workOff
        assert.deepStrictEqual(yield* states, ["queued", "queued", "queued"])
        yield* as(admin)(resumeBroadcast(id))
        for (let place = 0; place < 2; place++) yield* sms.control.next("unavailable")
        yield* work
        yield* work
        const after = yield* states
        assert.strictEqual(after.filter((state) => state === "accepted").length, 1)
        yield* as(admin)(cancelBroadcast(id))
        yield* workOff
        assert.deepStrictEqual(
          (yield* states).toSorted((a, b) => a.localeCompare(b)),
          ["accepted", "cancelled", "cancelled"]
        )
        assert.strictEqual((yield* get(id)).state, "cancelled")
        assert.strictEqual(yield* outcome(as(admin)(resumeBroadcast(id))), "Refused wrong-state")
      })
    )
  )

  it.effect("comes_in_the_morning_unless_it_is_urgent", () =>
    atNoon(
      Effect.gen(function* () {
        const { begin, make, messages, workOff } = yield* start({
          notifications: { quietHours: { from: "22:00", until: "08:00" } }
        })
        yield* TestClock.setTime(noon + 12 * 3_600_000)
        yield* begin((yield* make()).id)
        yield* workOff
        const states = Effect.map(messages, (all) => all.map(({ state }) => state))
        assert.deepStrictEqual(yield* states, ["queued", "queued", "queued"])
        yield* begin((yield* make({ urgency: "urgent" })).id)
        yield* workOff
        assert.deepStrictEqual((yield* states).slice(3), ["accepted", "accepted", "accepted"])
        yield* TestClock.setTime(noon + 21 * 3_600_000)
        yield* workOff
        assert.deepStrictEqual((yield* states).slice(0, 3), ["accepted", "accepted", "accepted"])
      })
    )
  )

  it.effect("tells_nobody_twice_however_often_it_is_begun_again", () =>
    atNoon(
      Effect.gen(function* () {
        const { begin, inside, make, messages, rows, workOff } = yield* start()
        const { id } = yield* make()
        yield* begin(id)
        yield* Effect.all([inside(nextPage(id)), inside(nextPage(id)), workOff], { concurrency: 3 })
        // As if the last page had been written without a word of how far it came.
        yield* rows(
          ({ sql }) => sql`update mahalla.broadcast set reached = null, resolved = false where id = ${id} returning id`
        )
        yield* Effect.all([inside(nextPage(id)), inside(nextPage(id))], { concurrency: 2 })
        yield* workOff
        assert.lengthOf(yield* messages, 3)
      })
    )
  )
})

layer(newsRoom(inject("postgresUrl")), { excludeTestServices: true })("the parts of an SMS", (it) => {
  it.effect("are_counted_in_the_alphabet_of_its_letters", () =>
    Effect.sync(() => {
      assert.deepStrictEqual(
        [
          ["a", 160],
          ["a", 161],
          ["a", 306],
          ["a", 307],
          ["я", 70],
          ["я", 71],
          ["я", 134],
          ["‘", 135]
        ].map(([letter, amount]) => partsOf(String(letter).repeat(Number(amount)))),
        [1, 2, 2, 3, 1, 2, 2, 3]
      )
    })
  )
})
