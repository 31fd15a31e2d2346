import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import * as TestClock from "effect/testing/TestClock"
import { inject } from "vitest"
import { PlatformTx, TenantTx, withPlatform } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import type { Principal } from "../../kernel/policy/Principal.ts"
import { as, eventsOf } from "../../test/caseRooms.ts"
import { controlRooms, friday, lowPressure, onFriday, watchedCity } from "../../test/controlRooms.ts"
import { climbLadders } from "./climb.ts"
import { createLadder } from "./ladders.ts"
import { clearAlert, raiseAlert, updateAlert } from "./raise.ts"
import { createRota } from "./rotas.ts"

const everyDay = [1, 2, 3, 4, 5, 6, 7]

/** At once the rota, after 10 minutes the operators, after 30 one person; once more after an hour. */
const start = Effect.gen(function* () {
  const city = yield* watchedCity
  const manager = yield* city.staff("municipality-admin")
  const engineer = yield* city.staff("inspector")
  const nightEngineer = yield* city.staff("inspector")
  const chief = yield* city.staff("inspector")
  const rota = yield* as(manager)(
    createRota({
      name: "Engineers",
      shifts: [
        { layer: 0, days: everyDay, from: "08:00", to: "20:00", personId: engineer.id! },
        { layer: 1, days: everyDay, from: "00:00", to: "00:00", personId: nightEngineer.id! }
      ]
    })
  )
  const ladder = yield* as(manager)(
    createLadder({
      name: "Serious",
      severities: ["critical", "major"],
      steps: [
        { after: 0, rotaId: rota.id },
        { after: 10, role: "control-room-operator" },
        { after: 30, personId: chief.id! }
      ],
      repeat: { every: 60, times: 1 }
    })
  )
  const raised = Effect.map(city.inside(raiseAlert(lowPressure)), ({ caseId }) => caseId!)
  const pass = (minutes: number) => Effect.andThen(TestClock.adjust(`${minutes} minutes`), climbLadders)
  const steps = (caseId: string) =>
    Effect.map(eventsOf(city.tenantId, caseId), (events) =>
      events.filter(({ type }) => type === "alert.escalated").map(({ payload }) => [payload["round"], payload["step"]])
    )
  return { ...city, manager, engineer, nightEngineer, chief, rota, ladder, raised, pass, steps }
})

layer(controlRooms(inject("postgresUrl")), { excludeTestServices: true })("a ladder", (it) => {
  it.effect("waits_while_an_alert_that_comes_and_goes_is_quiet", () =>
    onFriday(
      Effect.gen(function* () {
        const { inside, pass, steps } = yield* start
        const begin = (episode: number) =>
          inside(raiseAlert({ ...lowPressure, episode: String(episode), at: friday + episode * 60_000 }))
        const end = (episode: number) =>
          inside(clearAlert({ key: lowPressure.key, episode: String(episode), at: friday + episode * 60_000 + 30_000 }))
        for (const episode of [1, 2, 3, 4]) yield* Effect.andThen(begin(episode), end(episode))
        const id = (yield* begin(5)).caseId!
        assert.strictEqual((yield* end(5)).outcome, "held")
        yield* pass(12)
        assert.deepStrictEqual(yield* steps(id), [[1, 1]])
        yield* begin(12)
        yield* pass(1)
        assert.deepStrictEqual(yield* steps(id), [
          [1, 1],
          [1, 2]
        ])
      })
    )
  )

  it.effect("calls_step_after_step_and_begins_again", () =>
    onFriday(
      Effect.gen(function* () {
        const { chief, engineer, hearers, operator, pass, raised, rows, steps } = yield* start
        const id = yield* raised
        assert.deepStrictEqual(yield* steps(id), [[1, 1]])
        assert.deepStrictEqual(yield* hearers(id), [engineer.id])
        yield* pass(9)
        assert.strictEqual((yield* steps(id)).length, 1)
        yield* pass(1)
        assert.sameMembers(yield* hearers(id), [engineer.id, operator.id])
        yield* pass(20)
        assert.sameMembers(yield* hearers(id), [engineer.id, operator.id, chief.id])
        yield* pass(29)
        assert.strictEqual((yield* steps(id)).length, 3)
        yield* pass(1)
        yield* pass(10)
        yield* pass(20)
        yield* pass(600)
        assert.deepStrictEqual(yield* steps(id), [
          [1, 1],
          [1, 2],
          [1, 3],
          [2, 1],
          [2, 2],
          [2, 3]
        ])
        assert.isEmpty(yield* rows(({ sql }) => sql`select from mahalla.alert_ladder`))
      })
    )
  )

  it.effect("does_not_wait_for_somebody_who_is_blocked", () =>
    onFriday(
      Effect.gen(function* () {
        const { chief, engineer, hearers, inside, manager, raised, rows } = yield* start
        yield* as(manager)(
          createLadder({
            ...{ name: "First of all", severities: ["major"], territoryId: null },
            steps: [
              { after: 0, personId: chief.id! },
              { after: 30, personId: engineer.id! }
            ]
          })
        )
        yield* rows(({ sql }) => sql`delete from mahalla.ladder where name = 'Serious' returning id`)
        yield* withPlatform(
          Effect.flatMap(
            PlatformTx,
            ({ sql }) => sql`update mahalla.principal set status = 'blocked' where id = ${chief.id}`
          )
        )
        const id = yield* raised
        assert.deepStrictEqual(yield* hearers(id), [engineer.id])
        const told = yield* inside(
          Effect.flatMap(
            TenantTx,
            ({ sql }) => sql<{ hearers: ReadonlyArray<string> }>`
          select payload -> 'hearers' as hearers from mahalla.event where case_id = ${id} and type = 'alert.escalated' order by id`
          )
        )
        assert.deepStrictEqual(told, [{ hearers: [] }, { hearers: [engineer.id!] }])
      })
    )
  )

  it.effect("leaves_out_no_step_where_one_before_it_goes_with_a_person", () =>
    onFriday(
      Effect.gen(function* () {
        const { chief, engineer, hearers, manager, nightEngineer, pass, raised, rows } = yield* start
        // As when a person is erased.
        const gone = ({ id }: Principal) =>
          rows(({ sql }) => sql`delete from mahalla.ladder_step where principal_id = ${id} returning place`)
        const steps = [chief, engineer, nightEngineer].map(({ id }, place) => ({ after: 10 * place, personId: id! }))
        yield* as(manager)(createLadder({ name: "One by one", severities: ["major"], steps }))
        yield* rows(({ sql }) => sql`delete from mahalla.ladder where name = 'Serious' returning id`)
        const id = yield* raised
        assert.deepStrictEqual(yield* hearers(id), [chief.id])
        yield* gone(chief)
        yield* pass(10)
        assert.sameMembers(yield* hearers(id), [chief.id, engineer.id])
        // The last of what is left goes too: there is nobody to wait for.
        yield* gone(nightEngineer)
        yield* pass(10)
        assert.sameMembers(yield* hearers(id), [chief.id, engineer.id])
        assert.isEmpty(yield* rows(({ sql }) => sql`select from mahalla.alert_ladder`))
      })
    )
  )

  it.effect("stops_with_the_acknowledgement_and_with_the_condition", () =>
    onFriday(
      Effect.gen(function* () {
        const { inside, pass, raised, steps, take } = yield* start
        const id = yield* raised
        yield* pass(10)
        assert.strictEqual(yield* take("acknowledge", id), "ok")
        yield* pass(600)
        assert.deepStrictEqual(yield* steps(id), [
          [1, 1],
          [1, 2]
        ])
        yield* inside(clearAlert({ key: lowPressure.key, episode: "1", at: friday }))
        const next = yield* inside(raiseAlert({ ...lowPressure, episode: "2" }))
        yield* inside(clearAlert({ key: lowPressure.key, episode: "2", at: friday }))
        yield* pass(600)
        assert.deepStrictEqual(yield* steps(next.caseId!), [[1, 1]])
      })
    )
  )

  it.effect("takes_each_step_once_however_many_look_at_it", () =>
    onFriday(
      Effect.gen(function* () {
        const { raised, steps } = yield* start
        const id = yield* raised
        yield* TestClock.adjust("10 minutes")
        yield* Effect.all([climbLadders, climbLadders, climbLadders, climbLadders], { concurrency: 4 })
        assert.deepStrictEqual(yield* steps(id), [
          [1, 1],
          [1, 2]
        ])
      })
    )
  )

  it.effect("catches_up_when_nothing_ran_for_a_while", () =>
    onFriday(
      Effect.gen(function* () {
        const { pass, raised, steps } = yield* start
        const id = yield* raised
        yield* pass(65)
        assert.strictEqual((yield* steps(id)).length, 4)
      })
    )
  )

  it.effect("goes_on_at_once_where_a_step_reaches_nobody", () =>
    onFriday(
      Effect.gen(function* () {
        const { engineer, hearers, nightEngineer, operator, raised, tenantId } = yield* start
        yield* withPlatform(
          Effect.flatMap(
            PlatformTx,
            ({ sql }) =>
              sql`update mahalla.principal set status = 'blocked' where tenant_id = ${tenantId} and id in ${sql.in([engineer.id!, nightEngineer.id!])}`
          )
        )
        assert.deepStrictEqual(yield* hearers(yield* raised), [operator.id])
      })
    )
  )

  it.effect("begins_when_an_alert_becomes_serious_enough", () =>
    onFriday(
      Effect.gen(function* () {
        const { engineer, hearers, inside, manager, operator, steps } = yield* start
        const { caseId } = yield* inside(raiseAlert({ ...lowPressure, severity: "minor" }))
        assert.sameMembers(yield* hearers(caseId!), [operator.id, manager.id])
        yield* inside(updateAlert({ key: lowPressure.key, episode: "1", at: friday, severity: "critical" }))
        assert.sameMembers(yield* hearers(caseId!), [engineer.id, operator.id, manager.id])
        yield* inside(updateAlert({ key: lowPressure.key, episode: "1", at: friday, severity: "major" }))
        assert.deepStrictEqual(yield* steps(caseId!), [[1, 1]])
      })
    )
  )

  it.effect("of_the_nearest_territory_is_taken_and_a_role_counts_where_it_was_given", () =>
    onFriday(
      Effect.gen(function* () {
        const { hearers, inside, manager, operator, staff, tenantId } = yield* start
        const [city, north, south] = [yield* newId, yield* newId, yield* newId]
        const square = (west: number, south_: number, size: number) => ({
          type: "Polygon",
          coordinates: [
            [
              [west, south_],
              [west + size, south_],
              [west + size, south_ + size],
              [west, south_ + size],
              [west, south_]
            ]
          ]
        })
        const local = yield* staff()
        yield* withPlatform(
          Effect.gen(function* () {
            const { sql } = yield* PlatformTx
            for (const [id, parent, boundary] of [
              [city, null, square(60, 40, 10)],
              [north, city, square(60, 45, 5)],
              [south, city, square(60, 40, 5)]
            ] as const) {
              const [west, bottom] = boundary.coordinates[0]![0]!
              const [east, top] = boundary.coordinates[0]![2]!
              const path = parent === null ? [id] : [id, parent]
              yield* sql`
                insert into mahalla.territory (tenant_id, id, parent_id, kind, name, path, boundary, west, south, east, north)
                values (${tenantId}, ${id}, ${parent}, 'district', '{"en": "D"}', ${path}::uuid[], ${JSON.stringify(boundary)}::text::jsonb,
                        ${west!}, ${bottom!}, ${east!}, ${top!})`
            }
            yield* sql`
              insert into mahalla.role_grant (tenant_id, id, principal_id, role, territory_id, granted_at)
              values (${tenantId}, ${yield* newId}, ${local.id}, 'control-room-operator', ${north}, now())`
          })
        )
        yield* as(manager)(
          createLadder({
            name: "The north's own",
            severities: ["major"],
            territoryId: north,
            steps: [{ after: 0, role: "control-room-operator" }]
          })
        )
        const at = (latitude: number, episode: string) => ({
          ...lowPressure,
          key: { ...lowPressure.key, rule: episode },
          episode,
          place: { longitude: 61, latitude }
        })
        const inNorth = yield* inside(raiseAlert(at(46, "n")))
        assert.sameMembers(yield* hearers(inNorth.caseId!), [operator.id, local.id])
        const inSouth = yield* inside(raiseAlert(at(41, "s")))
        assert.notIncludeMembers(yield* hearers(inSouth.caseId!), [local.id])
      })
    )
  )
})
