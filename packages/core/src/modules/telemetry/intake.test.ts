/** Readings on their way in: what is stored, what is derived, what is refused; on a real database. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { inject } from "vitest"
import { PlatformTx, type TenantTx, withPlatform } from "../../kernel/db/Database.ts"
import { Policy } from "../../kernel/policy/Policy.ts"
import { presetRoles, rolesOf } from "../../kernel/policy/presets.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import type { IngestMessage } from "../../ports/DeviceIngest.ts"
import { jumpingClock } from "../../test/jumpingClock.ts"
import { intakeMigrations, openIntake } from "../../test/intakeRoom.ts"
import { testKernel } from "../../testing/kernel.ts"
import { changeDevice } from "./devices.ts"
import { makeFollow } from "./Follow.ts"
import type { Follower } from "./Follower.ts"
import { Intake } from "./Intake.ts"
import { ensurePartition } from "./partitions.ts"
import { changeProfile } from "./profiles.ts"
import { replayRaw } from "./deadLetters.ts"
import { hours, recent } from "./recent.ts"

const now = Date.now()

const open = openIntake(now)

type Sql = TenantTx["Service"]["sql"]
const lasts = (sql: Sql) =>
  sql<{ device: string; value: number; at: Date }>`
    select d.name as device, l.value, l.at from mahalla.datastream_last l join mahalla.datastream s on s.tenant_id = l.tenant_id and s.number = l.datastream
    join mahalla.device d on d.tenant_id = s.tenant_id and d.id = s.device_id order by 1`
const minutes = (sql: Sql) =>
  sql<Record<string, unknown>>`
    select d.name as device, b.at, b.readings, b.total, b.minimum, b.maximum, b.first, b.last, b.first_at, b.last_at
    from mahalla.reading_minute b join mahalla.datastream s on s.tenant_id = b.tenant_id and s.number = b.datastream
    join mahalla.device d on d.tenant_id = s.tenant_id and d.id = s.device_id order by 1, 2`
const hoursAndDays = (sql: Sql) =>
  sql<Record<string, unknown>>`
    select b.width, d.name as device, b.at, b.readings, b.total, b.minimum, b.maximum, b.first, b.last
    from (select 'hour' as width, * from mahalla.reading_hour union all select 'day', * from mahalla.reading_day) b
    join mahalla.datastream s on s.tenant_id = b.tenant_id and s.number = b.datastream
    join mahalla.device d on d.tenant_id = s.tenant_id and d.id = s.device_id order by 1, 2, 3`

const forgetReadings = (tenantId: string) =>
  withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => sql`delete from mahalla.reading where tenant_id = ${tenantId}`))

/** What came in the two seconds around now, once more. */
const replayed = (intake: Intake["Service"], tenantId: string) =>
  replayRaw(new Date(now - 1000), new Date(now + 1000), undefined).pipe(
    Effect.provideService(Actor, system(tenantId)),
    Effect.provideService(Intake, intake),
    Effect.provideService(Policy, { roles: rolesOf(presetRoles, []) })
  )

const shuffled = <A>(items: ReadonlyArray<A>): ReadonlyArray<A> => {
  let seed = 7
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647
  return items
    .map((item) => [random(), item] as const)
    .sort(([left], [right]) => left - right)
    .map(([, item]) => item)
}

layer(testKernel({ postgresUrl: inject("postgresUrl"), migrations: intakeMigrations }), { excludeTestServices: true })(
  "readings on their way in",
  (it) => {
    it.effect("that_cannot_be_used_and_are_too_many_for_a_minute_are_told_so_and_kept_in_the_next", () =>
      Effect.gen(function* () {
        const { intake, message, rows } = yield* open
        const clock = yield* jumpingClock
        const bad = Array.from({ length: 130 }, () => message("p1", "{"))
        const letters = rows((sql) => sql`select 1 from mahalla.dead_letter`)
        // Not over the end of a minute.
        clock.set(-((Date.now() / 1000) % 60))
        const outcomes = yield* clock.by(intake.receive([message("p1", [{ key: "pressure", value: 1 }]), ...bad]))
        const unlisted = outcomes.map((outcome) => outcome.state === "dead" && outcome.unlisted === true)
        assert.deepStrictEqual(unlisted, [
          ...Array.from({ length: 101 }, () => false),
          ...Array.from({ length: 30 }, () => true)
        ])
        assert.strictEqual((yield* letters).length, 100)
        clock.set(60)
        const later = yield* clock.by(intake.receive(bad.slice(100)))
        assert.isTrue(later.every((outcome) => outcome.state === "dead" && outcome.unlisted === undefined))
        assert.strictEqual((yield* letters).length, 130)
      })
    )

    it.effect("are_stored_once_with_their_last_values_and_minutes", () =>
      Effect.gen(function* () {
        const { follow, intake, message, rows } = yield* open
        const messages = [
          message("p1", [
            { key: "pressure", at: now - 60_000, value: 3 },
            { key: "pressure", at: now, value: 4 }
          ]),
          message("p2", [{ key: "pressure", at: now, value: 5, sequence: 2 }])
        ]
        assert.deepStrictEqual(yield* intake.receive(messages), [{ state: "stored" }, { state: "stored" }])
        assert.deepStrictEqual(yield* intake.receive(messages), [{ state: "stored" }, { state: "stored" }])
        yield* follow.settle
        const stored = yield* rows((sql) => sql<{ value: number }>`select value from mahalla.reading order by value`)
        assert.deepStrictEqual(
          stored.map(({ value }) => value),
          [3, 4, 5]
        )
        assert.deepStrictEqual(yield* rows(lasts), [
          { device: "p1", value: 4, at: new Date(now) },
          { device: "p2", value: 5, at: new Date(now) }
        ])
        const total = yield* rows(
          (sql) =>
            sql<{
              n: string
              total: number
            }>`select sum(readings)::text as n, sum(total) as total from mahalla.reading_minute`
        )
        assert.deepStrictEqual(total, [{ n: "3", total: 12 }])
      })
    )

    it.effect("give_the_same_last_values_and_rollups_however_late_and_shuffled_they_come", () =>
      Effect.gen(function* () {
        const all = Array.from({ length: 3000 }, (_, place) => ({
          device: `p${(place % 3) + 1}`,
          reading: { key: "pressure", at: now - place * 7000, value: place % 17, sequence: place % 2 }
        }))
        const derived = (readings: typeof all, batch: number) =>
          Effect.gen(function* () {
            const { follow, intake, message, rows } = yield* open
            for (let from = 0; from < readings.length; from += batch) {
              const part = readings.slice(from, from + batch)
              yield* intake.receive(part.map(({ device, reading }) => message(device, [reading])))
              if (from % (batch * 3) === 0) yield* follow.settle
            }
            yield* follow.settle
            return [yield* rows(lasts), yield* rows(minutes), yield* rows(hoursAndDays)]
          })
        const ordered = yield* derived([...all].reverse(), 100)
        assert.deepStrictEqual(yield* derived([...shuffled(all), ...shuffled(all.slice(0, 500))], 170), ordered)
      })
    )

    it.effect("are_followed_from_the_database_where_another_process_has_taken_them_in", () =>
      Effect.gen(function* () {
        const { intake, message, rows } = yield* open
        yield* intake.receive([message("p1", [{ key: "pressure", at: now, value: 4 }])])
        const other = yield* makeFollow([recent, hours], "other")
        yield* other.settle
        assert.deepStrictEqual(yield* rows(lasts), [{ device: "p1", value: 4, at: new Date(now) }])
        // Who comes second begins where the other has got to.
        const third = yield* makeFollow([recent, hours], "third")
        yield* third.settle
        const counted = yield* rows((sql) => sql<{ readings: string }>`select readings::text from mahalla.reading_hour`)
        assert.deepStrictEqual(counted, [{ readings: "1" }])
      })
    )

    it.effect("of_a_new_day_find_its_partition_however_many_want_it_at_once", () =>
      Effect.gen(function* () {
        yield* open
        const days = Array.from({ length: 20 }, (_, place) => now - (200 + place) * 86_400_000)
        yield* Effect.forEach(
          days,
          (day) => Effect.forEach([1, 2, 3, 4], () => ensurePartition("reading_7", day), { concurrency: 4 }),
          { discard: true }
        )
        const made = yield* withPlatform(
          Effect.flatMap(
            PlatformTx,
            ({ sql }) => sql`
              select from pg_class c join pg_inherits i on i.inhrelid = c.oid and i.inhparent = 'mahalla.reading_7'::regclass
              where right(c.relname, 8)::date < current_date - 100`
          )
        )
        assert.strictEqual(made.length, days.length)
      })
    )

    it.effect("that_cannot_be_used_are_kept_with_their_bytes_and_the_reason", () =>
      Effect.gen(function* () {
        const { intake, message, rows } = yield* open
        const year = 366 * 86_400_000
        const bad: ReadonlyArray<readonly [string, IngestMessage]> = [
          ["malformed", message("p1", "{")],
          ["unknown-device", message("p9", [{ key: "pressure", at: now, value: 1 }])],
          ["unknown-datastream", message("p1", [{ key: "flow", at: now, value: 1 }])],
          ["wrong-unit", message("p1", [{ key: "pressure", at: now, value: 1, unit: "Cel" }])],
          ["not-a-number", message("p1", [{ key: "pressure", at: now, value: "x" }])],
          ["from-the-future", message("p1", [{ key: "pressure", at: now + year, value: 1 }])],
          ["too-old", message("p1", [{ key: "pressure", at: now - year, value: 1 }])]
        ]
        const good = message("p2", [{ key: "pressure", at: now, value: 7 }])
        const outcomes = yield* intake.receive([...bad.map(([, one]) => one), good])
        assert.deepStrictEqual(
          outcomes.map(({ state }) => state),
          [...bad.map(() => "dead"), "stored"]
        )
        const dead = yield* rows(
          (sql) =>
            sql<{ reason: string; payload: Uint8Array }>`select reason, payload from mahalla.dead_letter order by id`
        )
        assert.deepStrictEqual(
          dead.map(({ payload, reason }) => [reason, Buffer.from(payload).toString()]),
          bad.map(([reason, { payload }]) => [reason, Buffer.from(payload).toString()])
        )
      })
    )

    it.effect("of_a_device_that_was_blocked_a_moment_ago_are_refused", () =>
      Effect.gen(function* () {
        const { as, devices, intake, message, rows } = yield* open
        const one = (value: number) => message("p1", [{ key: "pressure", at: now + value, value }])
        assert.deepStrictEqual(yield* intake.receive([one(1)]), [{ state: "stored" }])
        yield* as(changeDevice(devices[0]!.id, { status: "blocked" }))
        assert.deepStrictEqual(yield* intake.receive([one(2)]), [{ state: "refused", reason: "p1 is blocked." }])
        const stored = yield* rows((sql) => sql<{ value: number }>`select value from mahalla.reading`)
        assert.deepStrictEqual(stored, [{ value: 1 }])
      })
    )

    it.effect("are_followed_in_one_city_while_another_ones_turn_fails", () =>
      Effect.gen(function* () {
        const bad = yield* open
        const good = yield* open
        yield* bad.intake.receive([bad.message("p1", [{ key: "pressure", at: now, value: 1 }])])
        yield* good.intake.receive([good.message("p1", [{ key: "pressure", at: now, value: 2 }])])
        const stumbling: Follower = {
          ...recent,
          id: "stumbling",
          open: (tenantId) =>
            Effect.map(recent.open(tenantId), (gathering) =>
              tenantId === bad.tenantId ? { ...gathering, take: () => Effect.die(new Error("stumbled")) } : gathering
            )
        }
        const { run } = yield* makeFollow([stumbling], "stumbling")
        const place = (city: typeof good) =>
          city.rows(
            (sql) => sql<{ number: string }>`
              select number::text from mahalla.telemetry_progress where follower = 'stumbling'`
          )
        yield* Effect.raceFirst(
          run,
          Effect.repeat(place(good), { until: (found) => found.length > 0, schedule: Schedule.spaced("50 millis") })
        )
        assert.deepStrictEqual(yield* place(good), [{ number: "1" }])
        assert.deepStrictEqual(yield* place(bad), [])
      })
    )

    it.effect("are_counted_by_the_hour_though_the_clock_was_set_back_meanwhile", () =>
      Effect.gen(function* () {
        const { intake, message, rows } = yield* open
        const clock = yield* jumpingClock
        const { run } = yield* makeFollow([{ ...hours, every: 3000 }], "set-back")
        yield* intake.receive([message("p1", [{ key: "pressure", at: now, value: 1 }])])
        const counted = rows((sql) => sql<{ readings: string }>`select readings::text from mahalla.reading_hour`)
        yield* Effect.raceFirst(
          clock.by(run),
          Effect.gen(function* () {
            yield* Effect.sleep("1 second")
            clock.set(-3600)
            yield* Effect.repeat(counted, {
              until: (found) => found.length > 0,
              schedule: Schedule.spaced("50 millis")
            })
          })
        ).pipe(Effect.timeout("8 seconds"))
        assert.deepStrictEqual(yield* counted, [{ readings: "1" }])
      })
    )

    it.effect("are_passed_over_by_a_follower_for_which_nothing_counts", () =>
      Effect.gen(function* () {
        const city = yield* open
        const taken: Array<number> = []
        let idle = true
        const sleepy: Follower = {
          ...recent,
          id: "sleepy",
          open: (tenantId) =>
            Effect.map(recent.open(tenantId), (gathering) => ({
              ...gathering,
              idle: () => idle,
              take: ({ number }) => Effect.sync(() => void taken.push(number))
            }))
        }
        const { settle } = yield* makeFollow([sleepy], "sleepy")
        const send = (value: number) =>
          city.intake.receive([city.message("p1", [{ key: "pressure", at: now + value, value }])])
        const place = city.rows(
          (sql) =>
            sql<{ number: string }>`select number::text from mahalla.telemetry_progress where follower = 'sleepy'`
        )
        yield* send(1)
        yield* send(2)
        yield* settle
        assert.deepStrictEqual([taken, yield* place], [[], [{ number: "2" }]])
        idle = false
        yield* send(3)
        yield* settle
        assert.deepStrictEqual([taken, yield* place], [[3], [{ number: "3" }]])
      })
    )

    it.effect("that_are_taken_in_again_count_once_though_their_profile_keeps_them_otherwise_by_now", () =>
      Effect.gen(function* () {
        const { as, follow, intake, message, profile, rows, tenantId } = yield* open
        yield* intake.receive([message("p1", [{ key: "pressure", at: now - 1000, value: 2 }], now - 1000)])
        yield* as(changeProfile(profile.id, { ...profile.definition, retention: 30 }, undefined))
        yield* intake.receive([message("p1", [{ key: "pressure", at: now, value: 4 }])])
        yield* replayed(intake, tenantId)
        yield* follow.settle
        const counted = yield* rows(
          (sql) => sql<{ readings: number; total: number }>`
            select sum(readings)::int as readings, sum(total) as total from mahalla.reading_day`
        )
        assert.deepStrictEqual(counted, [{ readings: 2, total: 6 }])
        const kept = yield* rows((sql) => sql`select retention from mahalla.reading order by at`)
        assert.deepStrictEqual(kept, [{ retention: 90 }, { retention: 30 }])
      })
    )

    it.effect("that_are_taken_in_again_when_they_would_be_dropped_at_once_are_not_counted_anew", () =>
      Effect.gen(function* () {
        const { as, intake, message, profile, rows, tenantId } = yield* open
        yield* as(changeProfile(profile.id, { ...profile.definition, retention: 7 }, undefined))
        const then = now - 8 * 86_400_000
        const old = message("p1", [{ key: "pressure", at: then, value: 2 }], then)
        const outcomes = yield* intake.replay([old])
        assert.strictEqual(outcomes[0]?.state, "dead")
        assert.deepStrictEqual(
          yield* rows((sql) => sql`select from mahalla.reading_batch where tenant_id = ${tenantId}`),
          []
        )
      })
    )

    it.effect("of_many_messages_are_no_longer_in_one_statement_than_it_can_bear", () =>
      Effect.gen(function* () {
        const { intake, message, rows } = yield* open
        const many = (device: string, from: number) =>
          message(
            device,
            Array.from({ length: 9000 }, (_, place) => ({ key: "pressure", at: now - from - place * 1000, value: 1 }))
          )
        const messages = ["p1", "p2", "p3"].flatMap((device) => [many(device, 0), many(device, 10_000_000)])
        const outcomes = yield* intake.receive(messages)
        assert.deepStrictEqual(new Set(outcomes.map(({ state }) => state)), new Set(["stored"]))
        const batches = yield* rows((sql) => sql<{ readings: number }>`select readings from mahalla.reading_batch`)
        assert.isAtMost(Math.max(...batches.map(({ readings }) => readings)), 50_000)
        assert.strictEqual(
          batches.reduce((sum, { readings }) => sum + readings, 0),
          54_000
        )
      })
    )

    it.effect("are_taken_in_once_more_from_a_piece_that_began_before_the_time_asked_for", () =>
      Effect.gen(function* () {
        const { intake, message, rows, tenantId } = yield* open
        yield* intake.receive([
          message("p1", [{ key: "pressure", at: now - 5000, value: 1 }], now - 5000),
          message("p1", [{ key: "pressure", at: now, value: 2 }], now)
        ])
        yield* forgetReadings(tenantId)
        const result = yield* replayed(intake, tenantId)
        assert.deepStrictEqual(result, { messages: 1, stored: 1, dead: 0, refused: 0 })
        const stored = yield* rows((sql) => sql<{ value: number }>`select value from mahalla.reading`)
        assert.deepStrictEqual(stored, [{ value: 2 }])
      })
    )
  }
)
