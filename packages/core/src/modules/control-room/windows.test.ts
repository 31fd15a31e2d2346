import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { assert, layer } from "@effect/vitest"
import fc from "fast-check"
import * as TestClock from "effect/testing/TestClock"
import { inject } from "vitest"
import { TenantTx } from "../../kernel/db/Database.ts"
import { Actor, type Principal, system } from "../../kernel/policy/Principal.ts"
import { addTerritory } from "../../kernel/tenancy/territories.ts"
import { as, eventsOf, outcome } from "../../test/caseRooms.ts"
import {
  controlRooms,
  district,
  friday,
  lowPressure,
  onFriday,
  pump,
  station,
  valve,
  watchedCity
} from "../../test/controlRooms.ts"
import { clearAlert, raiseAlert } from "./raise.ts"
import { type Window, windowOf } from "./window.ts"
import { createWindow, getWindow, listWindows, moveWindowEnd, releaseSuppressed } from "./windows.ts"

const hour = 3_600_000

/** Where a transaction waits before it ends. */
class Meeting extends Context.Service<
  Meeting,
  { readonly there: Deferred.Deferred<void>; readonly go: Deferred.Deferred<void> }
>()("test/Meeting") {}
const arrived = Effect.flatMap(Meeting, ({ go, there }) =>
  Effect.andThen(Deferred.succeed(there, undefined), Deferred.await(go))
)
const nowhere = { devices: [], assets: [], territories: [], rules: [] }
const work = { from: new Date(friday - hour), until: new Date(friday + hour), reason: "The pump is changed" }

const start = Effect.gen(function* () {
  const city = yield* watchedCity
  const open = (given: Partial<Parameters<typeof createWindow>[0]> = {}) =>
    as(city.operator)(createWindow({ ...nowhere, devices: [pump], ...work, ...given }))
  const states = Effect.map(city.alerts, (alerts) => alerts.map(({ state }) => state))
  return { ...city, open, states }
})

layer(controlRooms(inject("postgresUrl")), { excludeTestServices: true })("a maintenance window", (it) => {
  it.effect("keeps_alerts_suppressed_tells_nobody_and_opens_them_when_it_ends_with_the_condition_active", () =>
    onFriday(
      Effect.gen(function* () {
        const { hearers, inside, open, operator, states, take, tenantId } = yield* start
        yield* open()
        const { caseId } = yield* inside(raiseAlert(lowPressure))
        const id = caseId!
        assert.deepStrictEqual(yield* states, ["suppressed"])
        assert.isEmpty(yield* hearers(id))
        assert.strictEqual(yield* take("acknowledge", id), "WrongState")
        yield* TestClock.adjust("59 minutes")
        yield* releaseSuppressed
        assert.deepStrictEqual(yield* states, ["suppressed"])
        yield* TestClock.adjust("1 minute")
        yield* Effect.all([releaseSuppressed, releaseSuppressed, releaseSuppressed], { concurrency: 3 })
        assert.deepStrictEqual(yield* states, ["open"])
        assert.deepStrictEqual(yield* hearers(id), [operator.id])
        assert.deepStrictEqual(
          (yield* eventsOf(tenantId, id)).map(({ type }) => type),
          ["alert.suppress", "alert.unsuppress"]
        )
      })
    )
  )

  it.effect("leaves_nothing_to_do_where_the_condition_ended_inside_it", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, inside, open, states } = yield* start
        yield* open()
        yield* inside(raiseAlert(lowPressure))
        yield* inside(clearAlert({ key: lowPressure.key, episode: "1", at: friday + 1000 }))
        assert.deepStrictEqual(yield* states, ["closed"])
        yield* TestClock.adjust("2 hours")
        yield* releaseSuppressed
        assert.deepStrictEqual(yield* states, ["closed"])
        assert.strictEqual((yield* alerts)[0]!.data["status"], "CLEARED_UNACK")
      })
    )
  )

  it.effect("covers_devices_their_assets_and_rules", () =>
    onFriday(
      Effect.gen(function* () {
        const { inside, open, states } = yield* start
        yield* open({ devices: [], assets: [district] })
        yield* open({ devices: [], rules: ["silence"] })
        yield* open({ devices: [valve], rules: ["low-flow"] })
        const raise = (rule: string, originator: string, assetId: string = station) =>
          inside(raiseAlert({ ...lowPressure, key: { rule, originator }, assetId, propagate: [] }))
        yield* raise("low-pressure", pump, district)
        yield* raise("silence", pump)
        yield* raise("low-flow", valve)
        yield* raise("low-pressure", valve)
        yield* raise("low-flow", pump)
        assert.deepStrictEqual(yield* states, ["suppressed", "suppressed", "suppressed", "open", "open"])
      })
    )
  )

  it.effect("on_what_lies_below_silences_nothing_that_happens_above_it", () =>
    onFriday(
      Effect.gen(function* () {
        const { inside, open, operator, states } = yield* start
        const below = yield* open({ devices: [], assets: [district] })
        // At the station, and shown in the district too.
        yield* inside(raiseAlert(lowPressure))
        assert.deepStrictEqual(yield* states, ["open"])
        yield* as(operator)(moveWindowEnd(below.id, "now"))
        // Nor does it hold what another window has let go.
        const own = yield* open({ devices: [valve] })
        yield* open({ devices: [], assets: [district], until: new Date(friday + 2 * hour) })
        yield* inside(raiseAlert({ ...lowPressure, key: { rule: "low-flow", originator: valve } }))
        assert.deepStrictEqual(yield* states, ["open", "suppressed"])
        yield* as(operator)(moveWindowEnd(own.id, "now"))
        yield* releaseSuppressed
        assert.deepStrictEqual(yield* states, ["open", "open"])
      })
    )
  )

  it.effect("that_is_ended_early_lets_go_and_one_that_another_covers_is_held", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, inside, open, operator, states } = yield* start
        const { id } = yield* open({ until: new Date(friday + 5 * hour) })
        yield* inside(raiseAlert(lowPressure))
        const next = yield* open({ until: new Date(friday + hour) })
        yield* as(operator)(moveWindowEnd(id, "now"))
        yield* releaseSuppressed
        assert.deepStrictEqual(yield* states, ["suppressed"])
        assert.strictEqual((yield* alerts)[0]!.suppressedUntil?.getTime(), friday + hour)
        yield* as(operator)(moveWindowEnd(next.id, "now"))
        yield* releaseSuppressed
        assert.deepStrictEqual(yield* states, ["open"])
        assert.strictEqual(
          yield* outcome(as(operator)(moveWindowEnd(id, new Date(friday + hour)))),
          "Refused window-over"
        )
      })
    )
  )

  for (const first of ["the_alert", "the_end"] as const)
    it.effect(`that_ends_while_an_alert_is_raised_lets_go_of_it_where_${first}_comes_first`, () =>
      onFriday(
        Effect.gen(function* () {
          const { alerts, inside, open, operator, states } = yield* start
          const { id } = yield* open()
          const raise = inside(Effect.andThen(raiseAlert(lowPressure), first === "the_alert" ? arrived : Effect.void))
          const end = as(operator)(
            Effect.andThen(moveWindowEnd(id, "now"), first === "the_end" ? arrived : Effect.void)
          )
          const [there, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
          const meeting = { there, go }
          const [one, other] = first === "the_alert" ? [raise, end] : [end, raise]
          const before = yield* Effect.forkChild(Effect.provideService(one, Meeting, meeting))
          yield* Deferred.await(there)
          const after = yield* Effect.forkChild(Effect.provideService(other, Meeting, meeting))
          // It is done, or waits for the other.
          yield* Effect.repeat(
            inside(
              Effect.flatMap(
                TenantTx,
                ({ sql }) => sql`
                  select from pg_locks l join pg_stat_activity a on a.pid = l.pid where not l.granted and a.datname = current_database()`
              )
            ),
            { until: (waiting) => waiting.length > 0 || after.pollUnsafe() !== undefined }
          )
          yield* Deferred.succeed(go, undefined)
          yield* Fiber.join(before)
          yield* Fiber.join(after)
          yield* releaseSuppressed
          assert.deepStrictEqual(yield* states, ["open"])
          assert.isNull((yield* alerts)[0]!.suppressedUntil)
        })
      )
    )

  it.effect("suppresses_what_began_in_it_also_when_the_word_comes_late", () =>
    onFriday(
      Effect.gen(function* () {
        const { inside, open, states } = yield* start
        yield* open()
        yield* TestClock.adjust("3 hours")
        yield* inside(raiseAlert(lowPressure))
        yield* inside(
          raiseAlert({ ...lowPressure, key: { rule: "low-flow", originator: pump }, at: friday + 2 * hour })
        )
        assert.deepStrictEqual(yield* states, ["suppressed", "open"])
        yield* releaseSuppressed
        assert.deepStrictEqual(yield* states, ["open", "open"])
      })
    )
  )

  it.effect("is_refused_without_a_scope_an_order_or_the_right", () =>
    onFriday(
      Effect.gen(function* () {
        const { citizen, dispatcher, open, operator } = yield* start
        const made = yield* open()
        assert.strictEqual(yield* outcome(open({ devices: [] })), "InvalidInput")
        assert.strictEqual(yield* outcome(open({ until: work.from })), "InvalidInput")
        assert.strictEqual(yield* outcome(open({ until: new Date(friday + 32 * 24 * hour) })), "InvalidInput")
        for (const other of [citizen, dispatcher])
          assert.strictEqual(
            yield* outcome(as(other)(createWindow({ ...nowhere, devices: [pump], ...work }))),
            "Forbidden"
          )
        const other = yield* start
        assert.strictEqual(yield* outcome(as(other.operator)(moveWindowEnd(made.id, "now"))), "NotFound")
        assert.deepStrictEqual((yield* as(other.operator)(listWindows({ active: false }))).items, [])
        assert.deepStrictEqual(
          (yield* as(operator)(listWindows({ active: true }))).items.map(({ id }) => id),
          [made.id]
        )
      })
    )
  )

  it.effect("of_a_district_is_seen_and_ended_by_whoever_may_make_it", () =>
    onFriday(
      Effect.gen(function* () {
        const { inside, open, operator, tenantId } = yield* start
        const engine = <A, E, R>(self: Effect.Effect<A, E, R>) =>
          Effect.provideService(inside(self), Actor, system(tenantId))
        const part = (name: string) => engine(addTerritory({ kind: "district", name: { en: name } }))
        const [north, south] = [(yield* part("North")).id, (yield* part("South")).id]
        const block = (yield* engine(addTerritory({ kind: "block", name: { en: "Block" }, parentId: north }))).id
        const northerner: Principal = {
          ...operator,
          grants: [{ role: "control-room-operator", territoryId: north, until: null }]
        }
        const place = { ...nowhere, ...work }
        const { id } = yield* as(northerner)(createWindow({ ...place, territories: [block] }))
        const others = [
          yield* open({ devices: [], territories: [south] }),
          yield* open({ devices: [], territories: [north, south] }),
          yield* open({ territories: [north] }),
          yield* open({ devices: [], rules: ["low-flow"] })
        ]
        const { items } = yield* as(northerner)(listWindows({ active: true }))
        assert.deepStrictEqual(
          items.map((window) => window.id),
          [id]
        )
        assert.lengthOf((yield* as(operator)(listWindows({ active: true }))).items, 5)
        assert.strictEqual((yield* as(northerner)(getWindow(id))).id, id)
        for (const other of others) {
          assert.strictEqual(yield* outcome(as(northerner)(getWindow(other.id))), "NotFound")
          assert.strictEqual(yield* outcome(as(northerner)(moveWindowEnd(other.id, "now"))), "NotFound")
        }
        assert.strictEqual((yield* as(northerner)(moveWindowEnd(id, "now"))).version, 2)
        const nobody: Principal = { ...operator, grants: [] }
        assert.strictEqual(yield* outcome(as(nobody)(listWindows({ active: true }))), "Forbidden")
        assert.strictEqual(yield* outcome(as(nobody)(getWindow(id))), "Forbidden")
      })
    )
  )

  it("covers_an_alert_exactly_while_it_lasts_and_exactly_what_it_names", () => {
    const ids = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d"))
    const scope = fc.record({ devices: ids, assets: ids, territories: ids, rules: ids })
    const alert = fc.record({
      rule: fc.constantFrom("a", "b"),
      originator: fc.constantFrom("a", "b"),
      devices: ids,
      assets: ids,
      territories: ids
    })
    fc.assert(
      fc.property(
        scope,
        alert,
        fc.nat(100),
        fc.nat(100),
        fc.integer({ min: 1, max: 100 }),
        (given, seen, at, from, span) => {
          const window: Window = { ...given, id: "w", from: new Date(from), until: new Date(from + span) }
          const there =
            [seen.originator].some((one) => given.devices.includes(one) || given.assets.includes(one)) ||
            seen.devices.some((one) => given.devices.includes(one)) ||
            seen.assets.some((one) => given.assets.includes(one)) ||
            seen.territories.some((one) => given.territories.includes(one))
          const names = given.devices.length + given.assets.length + given.territories.length
          const ruled = given.rules.includes(seen.rule)
          const expected =
            at >= from && at < from + span && (names === 0 ? ruled : there && (given.rules.length === 0 || ruled))
          assert.strictEqual(windowOf([window], seen, at) !== undefined, expected)
        }
      )
    )
  })
})
