/** From readings to leaks that are alerted, through the real intake and on a real database: once, at its place, and the same after a crash. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inject } from "vitest"
import { TenantTx, withTenant } from "../../../kernel/db/Database.ts"
import { readMigration } from "../../../kernel/db/Migration.ts"
import { Actor, system } from "../../../kernel/policy/Principal.ts"
import { controlRooms } from "../../../test/controlRooms.ts"
import { burst, houses, type Leak, places, readingsAt } from "../../../test/street.ts"
import { createTenant } from "../../../testing/kernel.ts"
import { makeCodecSandbox } from "../decode/codec/sandbox.ts"
import { makeDecodeAll } from "../decodeAll.ts"
import { createDevices } from "../devices.ts"
import { makeFollow } from "../Follow.ts"
import { makeIntake } from "../Intake.ts"
import { createProfile } from "../profiles.ts"
import type { ZoneDefinition } from "./definition.ts"
import { acceptLeaksOf, knownLeaksOf } from "./leaks.ts"
import { watchZones } from "./watch.ts"
import { createZone, getZone, removeZone, replaceZone } from "./zones.ts"

const migrations = [
  "0001_devices.sql",
  "0002_readings.sql",
  "0003_commands.sql",
  "0004_rules.sql",
  "0005_hydraulic-zones.sql",
  "0006_hearing.sql"
].map((file) => readMigration("telemetry", new URL(`../migrations/${file}`, import.meta.url)))

const minute = 60_000
const day = 1440 * minute
/** Nights' windows in Tashkent are 21:00–23:00 UTC; the last of 130 nights was yesterday. */
const start = Math.floor(Date.now() / day) * day - 131 * day + 20 * 60 * minute

/** Sensors as towns have them: bar and litres a second. */
const shown = (value: number, sensor: number) => (sensor < houses ? value / 10.197162129779 : value / 3.6)
const names = [...Array.from({ length: houses }, (_, house) => `house-${house}`), "inlet"]

const open = Effect.gen(function* () {
  const { slug, tenantId } = yield* createTenant()
  const as = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    withTenant(tenantId)(self).pipe(Effect.provideService(Actor, system(tenantId)))
  const profile = yield* as(
    createProfile("street", {
      datastreams: [
        { key: "pressure", title: "Pressure", unit: "bar", minimum: 0, maximum: 20 },
        { key: "flow", title: "Flow", unit: "L/s" }
      ],
      format: "json",
      retention: 365
    })
  )
  yield* as(
    createDevices(
      names.map((name, place) => ({ name, profileId: profile.id, longitude: 66.97 + place / 1000, latitude: 39.65 })),
      () => ""
    )
  )
  const datastreams = yield* as(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql<{ id: string; device: string; key: string }>`
        select s.id, d.name as device, s.key from mahalla.datastream s join mahalla.device d on d.id = s.device_id`
    )
  )
  const idOf = (device: string, key: string) =>
    datastreams.find((stream) => stream.device === device && stream.key === key)!.id
  const definition: ZoneDefinition = {
    name: "Registon street",
    sensors: [
      ...names.slice(0, houses).map((name) => ({ datastreamId: idOf(name, "pressure"), role: "pressure" as const })),
      { datastreamId: idOf("inlet", "flow"), role: "inflow" as const }
    ],
    places: places.map(({ effects, name }) => ({ name, effects: Array.from(effects) }))
  }
  const decode = makeDecodeAll(yield* makeCodecSandbox())
  /** A process that takes in and watches; what it has gathered is lost when it is dropped without settling. */
  const process = Effect.gen(function* () {
    const follow = yield* makeFollow([watchZones], "test")
    const intake = yield* makeIntake({ decode, told: () => {}, fresh: follow.offer, deadPerMinute: 100 })
    const send = (
      device: string,
      readings: ReadonlyArray<readonly [at: number, values: Readonly<Record<string, number>>]>
    ) => ({
      from: { tenant: slug, device },
      topic: "t",
      payload: Buffer.from(JSON.stringify(readings.map(([ts, values]) => ({ ts, values })))),
      format: "json" as const,
      receivedAt: Date.now()
    })
    /** Minutes of a night from the 21st hour (UTC) on: 60 to 180 are the window, from 210 on it is judged. */
    const night = (number: number, leaks: ReadonlyArray<Leak>, from = 0, until = 270, silent?: string) =>
      intake.receive(
        names.flatMap((name, sensor) => {
          if (name === silent) return []
          const readings: Array<readonly [number, Record<string, number>]> = []
          for (let at = from; at <= until; at += 10)
            readings.push([
              start + number * day + at * minute,
              { [sensor < houses ? "pressure" : "flow"]: shown(readingsAt(number, at, leaks, 1)[sensor]!, sensor) }
            ])
          return [send(name, readings)]
        })
      )
    const nights = Effect.fnUntraced(function* (from: number, until: number, leaks: ReadonlyArray<Leak>) {
      for (let number = from; number < until; number++) {
        const outcomes = yield* night(number, leaks)
        assert.deepStrictEqual([...new Set(outcomes.map(({ state }) => state))], ["stored"])
      }
      yield* follow.settle
    })
    return { follow, night, nights }
  })
  const rows = <Row extends object>(select: (tx: TenantTx["Service"]) => Effect.Effect<ReadonlyArray<Row>, unknown>) =>
    as(Effect.flatMap(TenantTx, select))
  const alerts = rows<{ status: string; at: number; place: string; since: string; flow: number; longitude: number }>(
    ({ sql }) => sql`
      select c.data ->> 'status' as status, extract(epoch from a.started_at)::float8 * 1000 as at, a.details ->> 'place' as place,
        a.details ->> 'since' as since, (a.details ->> 'flow')::float8 as flow, c.longitude
      from mahalla.alert a join mahalla.civic_case c on c.tenant_id = a.tenant_id and c.id = a.case_id
      where a.rule = 'leak' and a.tenant_id = ${tenantId} order by a.started_at`
  )
  const place = Effect.map(
    rows<{ number: string }>(
      ({ sql }) =>
        sql`select number::text from mahalla.telemetry_progress where follower = 'leaks' and tenant_id = ${tenantId}`
    ),
    ([row]) => Number(row?.number ?? 0)
  )
  return { alerts, as, definition, place, process, tenantId }
})

layer(controlRooms(inject("postgresUrl"), migrations), { excludeTestServices: true, timeout: 120_000 })(
  "watching zones",
  (it) => {
    it.effect(
      "alerts_a_burst_once_at_its_place_while_another_city_sees_nothing",
      () =>
        Effect.gen(function* () {
          const { alerts, as, definition, process } = yield* open
          const other = yield* open
          const theirs = yield* other.as(createZone(other.definition))
          const zone = yield* as(createZone(definition))
          const { nights } = yield* process
          yield* nights(0, 72, [burst(4, 60)])
          const found = yield* alerts
          assert.deepStrictEqual(
            found.map(({ place, status }) => [place, status]),
            [["house 4", "ACTIVE_UNACK"]]
          )
          const [alert] = found
          assert.isAtLeast(alert!.at, start + 60 * day)
          assert.isBelow(alert!.at, start + 68 * day)
          // On the map it is at the sensor that it lowers most.
          assert.strictEqual(alert!.longitude, 66.974)
          const known = yield* as(knownLeaksOf(zone.id))
          assert.deepStrictEqual(
            known.map(({ place, alertId }) => [place, alertId !== null]),
            [["house 4", true]]
          )
          // In m³/h, though the meter speaks of litres a second.
          assert.isTrue(known[0]!.flow! > 1 && known[0]!.flow! < 2)
          assert.isTrue(alert!.flow > 1 && alert!.flow < 2)
          assert.isAtLeast(known[0]!.since.getTime(), start + 58 * day)
          const { judgedAt, nights: learnt, silent } = yield* as(getZone(zone.id))
          assert.deepStrictEqual([learnt, silent], [44, []])
          assert.strictEqual(judgedAt?.getTime(), start + 71 * day + 180 * minute)

          assert.deepStrictEqual(yield* other.alerts, [])
          assert.deepStrictEqual(yield* other.as(knownLeaksOf(theirs.id)), [])
          const missing = yield* Effect.flip(other.as(knownLeaksOf(zone.id)))
          assert.strictEqual(missing._tag, "NotFound")
        }),
      120_000
    )

    it.effect(
      "says_the_same_when_it_is_killed_in_the_middle_of_nights",
      () =>
        Effect.gen(function* () {
          const leaks = [burst(3, 60)]
          const straight = yield* open
          yield* straight.as(createZone(straight.definition))
          yield* (yield* straight.process).nights(0, 72, leaks)

          const { alerts, as, definition, place, process } = yield* open
          const { id } = yield* as(createZone(definition))
          yield* (yield* process).nights(0, 40, leaks)
          for (let number = 40; number < 72; number++) {
            const first = yield* process
            yield* first.night(number, leaks, 0, 110)
            // Takes half of the night, and now and then is gone before it writes what it remembers.
            const before = yield* place
            if (number % 3 === 0) {
              yield* Effect.raceFirst(first.follow.run, Effect.sleep("700 millis"))
              assert.strictEqual(yield* place, before)
            } else yield* first.follow.settle
            const second = yield* process
            yield* second.night(number, leaks, 120, 270)
            yield* second.follow.settle
            assert.isAbove(yield* place, before)
          }
          const expected = yield* straight.alerts
          assert.lengthOf(expected, 1)
          assert.deepStrictEqual(yield* alerts, expected)
          assert.lengthOf(yield* as(knownLeaksOf(id)), 1)
        }),
      180_000
    )

    it.effect(
      "after_accepting_a_further_leak_at_the_same_place_is_a_new_alert",
      () =>
        Effect.gen(function* () {
          const { alerts, as, definition, process } = yield* open
          const { id } = yield* as(createZone(definition))
          const leaks = [burst(4, 60), burst(4, 100)]
          const { nights } = yield* process
          yield* nights(0, 80, leaks)
          assert.deepStrictEqual(
            (yield* alerts).map(({ status }) => status),
            ["ACTIVE_UNACK"]
          )
          assert.strictEqual(yield* as(acceptLeaksOf(id)), 1)
          assert.deepStrictEqual(yield* as(knownLeaksOf(id)), [])
          assert.deepStrictEqual(
            (yield* alerts).map(({ status }) => status),
            ["CLEARED_UNACK"]
          )
          // Taken up by another process than the one that was running.
          const second = yield* process
          yield* second.nights(80, 100, leaks)
          assert.lengthOf(yield* alerts, 1)
          yield* second.nights(100, 125, leaks)
          assert.deepStrictEqual(
            (yield* alerts).map(({ place, status }) => [place, status]),
            [
              ["house 4", "CLEARED_UNACK"],
              ["house 4", "ACTIVE_UNACK"]
            ]
          )
          assert.strictEqual(yield* as(acceptLeaksOf(id)), 1)
          assert.strictEqual(yield* as(acceptLeaksOf(id)), 0)
        }),
      180_000
    )

    it.effect(
      "a_zone_that_changes_forgets_only_what_is_of_it_no_more",
      () =>
        Effect.gen(function* () {
          const { alerts, as, definition, process } = yield* open
          const { places: model, ...without } = definition
          const { id } = yield* as(createZone(without))
          const { nights } = yield* process
          const leaks = [burst(5, 60)]
          yield* nights(0, 80, leaks)
          const learnt = Effect.map(as(getZone(id)), (zone) => zone.nights)
          assert.strictEqual(yield* learnt, 52)
          assert.match((yield* alerts)[0]!.place, /^house-[45] pressure$/)
          // Another name: all stays.
          yield* as(replaceZone(id, { ...without, name: "Registon" }, 1))
          yield* nights(80, 81, leaks)
          assert.strictEqual(yield* learnt, 53)
          // A model: what was learnt stays, and the leak that is known is told by it.
          yield* as(replaceZone(id, { ...definition, name: "Registon", places: model! }, 2))
          yield* nights(81, 83, leaks)
          assert.strictEqual(yield* learnt, 55)
          assert.deepStrictEqual(
            (yield* as(knownLeaksOf(id))).map(({ place }) => place),
            ["house 5"]
          )
          assert.deepStrictEqual(
            (yield* alerts).map(({ place, status }) => [place, status]),
            [["house 5", "ACTIVE_UNACK"]]
          )
          // Other sensors: it learns anew, and what was found stays until it is accepted.
          const fewer = { name: "Registon", sensors: definition.sensors.slice(1) }
          yield* as(replaceZone(id, fewer, 3))
          yield* nights(83, 85, leaks)
          assert.strictEqual(yield* learnt, 2)
          assert.lengthOf(yield* as(knownLeaksOf(id)), 1)
          // No zone, no alert.
          yield* as(removeZone(id, 4))
          yield* nights(85, 86, leaks)
          assert.deepStrictEqual(
            (yield* alerts).map(({ status }) => status),
            ["CLEARED_UNACK"]
          )
        }),
      180_000
    )

    it.effect(
      "counts_from_when_a_zone_is_made_and_names_what_is_silent",
      () =>
        Effect.gen(function* () {
          const { as, definition, place, process } = yield* open
          const { follow, night, nights } = yield* process
          yield* nights(0, 3, [])
          assert.strictEqual(yield* place, 3)
          const { id } = yield* as(createZone(definition))
          yield* nights(3, 5, [])
          assert.strictEqual((yield* as(getZone(id))).nights, 2)
          yield* night(5, [], 0, 270, "house-2")
          yield* follow.settle
          const zone = yield* as(getZone(id))
          assert.deepStrictEqual([zone.nights, zone.silent], [2, [definition.sensors[2]!.datastreamId]])
        }),
      60_000
    )
  }
)
