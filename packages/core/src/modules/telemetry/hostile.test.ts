/** Messages that are wrong on purpose, and changes at the wrong moment: each costs itself and nobody else; on a real database. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inject } from "vitest"
import { PlatformTx, withPlatform } from "../../kernel/db/Database.ts"
import { forgetTenants } from "../../kernel/tenancy/resolve.ts"
import { intakeMigrations, openIntake } from "../../test/intakeRoom.ts"
import { testKernel } from "../../testing/kernel.ts"
import type { DecodeAll } from "./decodeAll.ts"
import { changeDevice } from "./devices.ts"
import { writeAnomalies } from "./judge/write.ts"

const now = Date.now()
const open = openIntake(now)
const reading = (value: number, at = now) => [{ key: "pressure", at, value }]

/** An intake in which something happens once, while the first messages are read. */
const interrupted = Effect.gen(function* () {
  let meanwhile: Effect.Effect<unknown, unknown> = Effect.void
  const around =
    (real: DecodeAll): DecodeAll =>
    (...all) =>
      Effect.suspend(() => {
        const once = meanwhile
        meanwhile = Effect.void
        return Effect.andThen(Effect.orDie(once), real(...all))
      })
  const city = yield* openIntake(now, around)
  const services = yield* Effect.context<never>()
  const doing = <R>(self: Effect.Effect<unknown, unknown, R>) => {
    meanwhile = Effect.provideContext(self, services as never) as Effect.Effect<unknown, unknown>
  }
  return { ...city, doing }
})

layer(testKernel({ postgresUrl: inject("postgresUrl"), migrations: intakeMigrations }), { excludeTestServices: true })(
  "what comes in",
  (it) => {
    it.effect("is_stored_though_its_device_is_changed_while_it_is_read", () =>
      Effect.gen(function* () {
        const { as, devices, doing, intake, message, rows } = yield* interrupted
        yield* intake.receive([message("p1", reading(1))])
        doing(
          Effect.andThen(
            as(changeDevice(devices[0]!.id, { title: "At the bridge" })),
            // Of another device that nothing is known of: the registry is read anew.
            intake.receive([message("p2", reading(2))])
          )
        )
        assert.deepStrictEqual(yield* intake.receive([message("p1", reading(3, now + 1))]), [{ state: "stored" }])
        const stored = yield* rows((sql) => sql<{ value: number }>`select value from mahalla.reading order by value`)
        assert.deepStrictEqual(stored, [{ value: 1 }, { value: 2 }, { value: 3 }])
        assert.deepStrictEqual(yield* rows((sql) => sql`select reason from mahalla.dead_letter`), [])
      })
    )

    it.effect("for_a_city_that_is_closed_is_refused_whoever_brings_it", () =>
      Effect.gen(function* () {
        const { intake, message, rows, tenantId } = yield* open
        assert.deepStrictEqual(yield* intake.receive([message("p1", reading(1))]), [{ state: "stored" }])
        yield* withPlatform(
          Effect.flatMap(
            PlatformTx,
            ({ sql }) => sql`
              update mahalla.tenant set suspended_at = now(), suspended_because = 'unpaid' where tenant_id = ${tenantId}`
          )
        )
        yield* forgetTenants
        const outcomes = yield* intake.receive([message("p1", reading(2, now + 1))])
        assert.deepStrictEqual(
          outcomes.map(({ state }) => state),
          ["refused"]
        )
        const stored = yield* rows((sql) => sql<{ value: number }>`select value from mahalla.reading`)
        assert.deepStrictEqual(stored, [{ value: 1 }])
      })
    )

    it.effect("of_a_device_that_is_blocked_while_it_is_read_is_refused", () =>
      Effect.gen(function* () {
        const { as, devices, doing, intake, message, rows } = yield* interrupted
        yield* intake.receive([message("p1", reading(1))])
        doing(
          Effect.andThen(
            as(changeDevice(devices[0]!.id, { status: "blocked" })),
            intake.receive([message("p2", reading(2)), message("p1", reading(4))])
          )
        )
        assert.deepStrictEqual(yield* intake.receive([message("p1", reading(3, now + 1))]), [
          { state: "refused", reason: "p1 is blocked." }
        ])
        const stored = yield* rows((sql) => sql<{ value: number }>`select value from mahalla.reading order by value`)
        assert.deepStrictEqual(stored, [{ value: 1 }, { value: 2 }])
      })
    )

    it.effect("and_is_too_large_for_a_total_stops_nothing_that_follows", () =>
      Effect.gen(function* () {
        const { follow, intake, message, rows } = yield* open
        const states = []
        for (const value of [1.7e308, 1.7e308, 5e-324, 5]) {
          states.push(...(yield* intake.receive([message("p1", reading(value, now + states.length))])))
          yield* follow.settle
        }
        assert.deepStrictEqual(
          states.map(({ state }) => state),
          ["dead", "dead", "stored", "stored"]
        )
        const means = yield* rows(
          (sql) => sql<{ mean: number }>`select sum(total) / sum(readings) as mean from mahalla.reading_minute`
        )
        assert.deepStrictEqual(means, [{ mean: 2.5 }])
      })
    )

    it.effect("with_times_beyond_all_clocks_moves_no_device_into_them", () =>
      Effect.gen(function* () {
        const { follow, intake, message, rows } = yield* open
        const outcomes = yield* intake.receive([
          message("p1", JSON.stringify([{ ts: 8.64e15, values: { firmware: "v1" } }, { pressure: 1 }])),
          message("p2", JSON.stringify([{ ts: -8.64e15, values: { firmware: "v2" } }, { pressure: 2 }]))
        ])
        assert.deepStrictEqual(outcomes, [{ state: "stored" }, { state: "stored" }])
        yield* follow.settle
        const seen = yield* rows((sql) => sql<{ at: Date }>`select seen_at as at from mahalla.device_presence`)
        assert.deepStrictEqual(
          seen.map(({ at }) => at.getTime()),
          [now, now]
        )
      })
    )

    it.effect("under_a_name_that_no_row_can_hold_is_kept_as_far_as_it_can_be", () =>
      Effect.gen(function* () {
        const { intake, message, rows } = yield* open
        const long = `${"x".repeat(199)}\u{1f6b0}`
        const outcomes = yield* intake.receive([
          message(long, reading(1)),
          message("a\u0000b", reading(1)),
          message("p1", reading(2))
        ])
        assert.deepStrictEqual(
          outcomes.map(({ state }) => state),
          ["dead", "dead", "stored"]
        )
        const kept = yield* rows(
          (sql) => sql<{ device: string; reason: string }>`select device, reason from mahalla.dead_letter order by id`
        )
        assert.deepStrictEqual(kept, [
          { device: `${"x".repeat(199)}\ufffd`, reason: "unknown-device" },
          { device: "a\ufffdb", reason: "malformed" }
        ])
      })
    )

    it.effect("and_says_ever_new_things_of_a_device_fills_no_row_without_end", () =>
      Effect.gen(function* () {
        const { intake, message, rows } = yield* open
        for (let turn = 0; turn < 12; turn++) {
          const attributes = Object.fromEntries(
            Array.from({ length: 30 }, (_, place) => [`a${turn}.${place}`, "x".repeat(1000)])
          )
          yield* intake.receive([message("p1", JSON.stringify(attributes))])
        }
        const [size] = yield* rows(
          (sql) => sql<{ size: number; newest: boolean }>`
            select pg_column_size(attributes || '{}')::int as size, jsonb_exists(attributes, 'a11.29') as newest
            from mahalla.device where name = 'p1'`
        )
        assert.isAtMost(size!.size, 262_144)
        assert.isTrue(size!.newest)
      })
    )

    it.effect("and_tells_of_a_radio_what_no_radio_has_is_stored_all_the_same", () =>
      Effect.gen(function* () {
        const { add, devices, intake, message, rows } = yield* open
        const [gateway] = yield* add([{ name: "network", gateway: true }])
        yield* add([{ name: "0102030405060708", parentId: gateway!.id }])
        assert.strictEqual(devices.length, 3)
        const event = { deviceInfo: { devEui: "0102030405060708" }, rxInfo: [{ rssi: -1e300, snr: 1e-60 }] }
        const outcomes = yield* intake.receive([
          {
            ...message("network", JSON.stringify(event)),
            format: "chirpstack",
            topic: "application/1/device/0102030405060708/event/up"
          }
        ])
        assert.deepStrictEqual(outcomes, [{ state: "stored" }])
        const heard = yield* rows((sql) => sql`select rssi, snr from mahalla.device_presence`)
        assert.deepStrictEqual(heard, [{ rssi: null, snr: 0 }])
      })
    )

    it.effect("and_meets_a_mistake_of_a_decoder_is_the_only_one_that_is_not_read", () =>
      Effect.gen(function* () {
        const broken =
          (real: DecodeAll): DecodeAll =>
          (tenantId, registry, messages) =>
            messages.some(({ payload }) => payload.length === 1)
              ? Effect.die(new Error("a mistake"))
              : real(tenantId, registry, messages)
        const { intake, message, rows } = yield* openIntake(now, broken)
        const messages = [message("p1", reading(1)), message("p2", "1"), message("p3", reading(3))]
        const outcomes = yield* intake.receive(messages)
        assert.deepStrictEqual(
          outcomes.map(({ state }) => state),
          ["stored", "dead", "stored"]
        )
        const again = yield* intake.replay(messages)
        assert.deepStrictEqual(
          again.map(({ state }) => state),
          ["stored", "dead", "stored"]
        )
        const kept = yield* rows((sql) => sql<{ device: string }>`select device from mahalla.dead_letter`)
        assert.deepStrictEqual(kept, [{ device: "p2" }])
      })
    )

    it.effect("and_is_hardly_strange_at_all_makes_an_anomaly_that_can_be_written", () =>
      Effect.gen(function* () {
        const { as, rows } = yield* open
        const [stream] = yield* rows((sql) => sql<{ number: string }>`select s.number::text from mahalla.datastream s`)
        yield* as(
          writeAnomalies([
            {
              datastream: Number(stream!.number),
              anomaly: {
                kind: "record",
                at: now,
                value: 1,
                expected: { low: 0, high: 1 },
                score: 1e-60,
                explanation: ""
              }
            }
          ])
        )
        assert.deepStrictEqual(yield* rows((sql) => sql`select score from mahalla.anomaly`), [{ score: 0 }])
      })
    )
  }
)
