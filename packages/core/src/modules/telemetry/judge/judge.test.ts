/** From readings to alerts, on a real database: raised once, cleared, and the same after a crash. */
import { assert, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { inject } from "vitest"
import { TenantTx } from "../../../kernel/db/Database.ts"
import { controlRooms } from "../../../test/controlRooms.ts"
import { highPressure, migrations, minute, open, start } from "../../../test/judgingRoom.ts"
import { changeDevice, createDevices } from "../devices.ts"
import { createProfile } from "../profiles.ts"
import { putRule, removeRule, switchRule } from "../storedRules.ts"
import { judge } from "./judge.ts"

layer(controlRooms(inject("postgresUrl"), migrations), { excludeTestServices: true })("judging", (it) => {
  it.effect("raises_one_alert_for_an_episode_and_clears_it", () =>
    Effect.gen(function* () {
      const { alerts, process } = yield* open
      const { follow, send } = yield* process()
      yield* send("p1", [
        [0, 5],
        [1, 9],
        [2, 11],
        [3, 9.5]
      ])
      yield* send("p2", [[0, 5]])
      yield* follow.settle
      assert.deepStrictEqual(
        (yield* alerts).map(({ name, severity, status }) => [name, severity, status]),
        [["p1", "major", "ACTIVE_UNACK"]]
      )
      yield* send("p1", [[4, 5]])
      yield* follow.settle
      assert.deepStrictEqual(
        (yield* alerts).map(({ status }) => status),
        ["CLEARED_UNACK"]
      )
    })
  )

  it.effect("says_the_same_again_after_a_crash_and_nothing_twice", () =>
    Effect.gen(function* () {
      const { alerts, as, process } = yield* open
      const first = yield* process()
      yield* first.send("p1", [
        [0, 5],
        [1, 9],
        [2, 5]
      ])
      yield* first.follow.settle
      yield* first.send("p1", [
        [3, 9],
        [4, 5],
        [5, 12]
      ])
      // Takes the batch, writes its alerts, and is gone before it writes what it remembers.
      yield* Effect.raceFirst(first.follow.run, Effect.sleep("2 seconds"))
      const before = yield* alerts
      assert.deepStrictEqual(
        before.map(({ severity, status }) => [severity, status]),
        [
          ["major", "CLEARED_UNACK"],
          ["major", "CLEARED_UNACK"],
          ["critical", "ACTIVE_UNACK"]
        ]
      )
      const place = as(
        Effect.flatMap(
          TenantTx,
          ({ sql }) =>
            sql<{ number: string }>`select number::text from mahalla.telemetry_progress where follower = 'judge'`
        )
      )
      assert.deepStrictEqual(yield* place, [{ number: "1" }])
      const second = yield* process()
      yield* second.follow.settle
      assert.deepStrictEqual(yield* place, [{ number: "2" }])
      assert.deepStrictEqual(yield* alerts, before)
      yield* second.send("p1", [[6, 5]])
      yield* second.follow.settle
      assert.deepStrictEqual(
        (yield* alerts).map(({ status }) => status),
        ["CLEARED_UNACK", "CLEARED_UNACK", "CLEARED_UNACK"]
      )
    })
  )

  it.effect("goes_on_while_what_it_remembers_is_being_written", () =>
    Effect.gen(function* () {
      const { alerts, as, process } = yield* open
      // Writes after each batch.
      const { follow, send } = yield* process({ ...judge([highPressure]), every: 0 })
      const states = as(
        Effect.flatMap(TenantTx, ({ sql }) => sql<{ id: string }>`select device_id as id from mahalla.device_state`)
      )
      yield* send("p1", [[0, 5]])
      yield* follow.settle
      const between = Effect.gen(function* () {
        yield* send("p1", [[1, 9]])
        yield* Effect.repeat(alerts, { until: (all) => all.length === 1, schedule: Schedule.spaced("20 millis") })
        yield* send("p2", [[1, 9]])
        yield* Effect.repeat(alerts, { until: (all) => all.length === 2, schedule: Schedule.spaced("20 millis") })
        assert.lengthOf(yield* states, 1)
      })
      // Whoever has the place has the write wait.
      const [taken, over] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const place = yield* Effect.forkChild(
        as(
          Effect.flatMap(TenantTx, ({ sql }) =>
            sql`select from mahalla.telemetry_progress where follower = 'judge' for update`.pipe(
              Effect.andThen(Deferred.succeed(taken, undefined)),
              Effect.andThen(Deferred.await(over))
            )
          )
        )
      )
      yield* Deferred.await(taken)
      yield* Effect.raceFirst(follow.run, Effect.timeout(between, "20 seconds"))
      yield* Deferred.succeed(over, undefined)
      yield* Fiber.join(place)
      yield* follow.settle
      assert.lengthOf(yield* states, 2)
      const after = yield* process()
      yield* after.send("p2", [[2, 5]])
      yield* after.follow.settle
      assert.deepStrictEqual(
        (yield* alerts).map(({ name, status }) => [name, status]),
        [
          ["p1", "ACTIVE_UNACK"],
          ["p2", "CLEARED_UNACK"]
        ]
      )
    })
  )

  it.effect("goes_by_the_citys_rule_in_place_of_the_deployments_also_when_it_is_disabled", () =>
    Effect.gen(function* () {
      const { alerts, as, process } = yield* open
      const { follow, send } = yield* process()
      const { id, version: _version, ...body } = highPressure
      yield* as(putRule(id, { ...body, title: { en: "Ours" } }, undefined))
      yield* as(switchRule(id, false, undefined))
      yield* send("p1", [
        [0, 5],
        [1, 9]
      ])
      yield* follow.settle
      assert.deepStrictEqual(yield* alerts, [])
      yield* as(removeRule(id, undefined))
      yield* send("p1", [[2, 9]])
      yield* follow.settle
      assert.deepStrictEqual(
        (yield* alerts).map(({ severity, status }) => [severity, status]),
        [["major", "ACTIVE_UNACK"]]
      )
    })
  )

  it.effect("goes_by_a_changed_time_zone_and_changed_holidays_from_the_next_reading_on", () =>
    Effect.gen(function* () {
      const { alerts, as, calendar, process, set } = yield* open
      const { follow, send } = yield* process()
      // Five hours that in Tashkent are now, and in Greenwich will be.
      const clock = (hours: number) =>
        `${String((new Date(start).getUTCHours() + 24 + hours) % 24).padStart(2, "0")}:00`
      const hours = { kind: "schedule", days: [1, 2, 3, 4, 5, 6, 7], from: clock(4), to: clock(9), holidays: "except" }
      const { id: _id, version: _version, ...body } = highPressure
      const levels = body.levels.slice(1).map(({ condition, severity }) => ({
        severity,
        condition: { kind: "all" as const, conditions: [condition, hours as typeof condition] }
      }))
      yield* as(putRule("by-hours", { ...body, levels }, undefined))
      yield* as(putRule("high-pressure", body, undefined))
      yield* as(switchRule("high-pressure", false, undefined))
      yield* send("p1", [[0, 9]])
      yield* follow.settle
      assert.deepStrictEqual(yield* alerts, [])
      yield* set({ timeZone: "Asia/Tashkent" })
      yield* send("p1", [[1, 9.1]])
      yield* follow.settle
      const seen = Effect.map(alerts, (found) => found.map(({ status }) => status))
      assert.deepStrictEqual(yield* seen, ["ACTIVE_UNACK"])
      const days = [-1, 0, 1].map((day) => new Date(start + day * 1440 * minute).toISOString().slice(0, 10))
      yield* set({ timeZone: "Asia/Tashkent", calendar: { ...calendar, holidays: days } })
      yield* send("p1", [[2, 9.2]])
      yield* follow.settle
      assert.deepStrictEqual(yield* seen, ["CLEARED_UNACK"])
    })
  )

  it.effect("a_change_of_a_device_concludes_nothing_from_readings_that_still_wait", () =>
    Effect.gen(function* () {
      const { alerts, as, process } = yield* open
      const { follow, send } = yield* process()
      const quick = yield* as(
        createProfile("quick", {
          datastreams: [{ key: "pressure", title: "Pressure", unit: "bar" }],
          ...{ format: "json", interval: 4, retention: 90 }
        })
      )
      const { id: _id, version: _version, ...body } = highPressure
      const silent = [{ severity: "minor" as const, condition: { kind: "offline" as const, intervals: 1 } }]
      yield* as(putRule("silent", { ...body, levels: silent, scope: { kind: "each", profiles: ["quick"] } }, undefined))
      const [device] = yield* as(createDevices([{ name: "p3", profileId: quick.id }], () => ""))
      const before = (Date.now() - 8000 - start) / minute
      yield* send("p3", [[before, 5]])
      yield* follow.settle
      yield* send("p3", [
        [before + 3 / 60, 5],
        [before + 6 / 60, 5]
      ])
      yield* as(changeDevice(device!.id, { groups: ["north"] }))
      yield* follow.settle
      assert.deepStrictEqual(yield* alerts, [])
    })
  )

  it.effect("readings_from_before_a_device_was_registered_are_judged_by_their_own_time", () =>
    Effect.gen(function* () {
      const { as, process } = yield* open
      const { follow, send } = yield* process()
      const { id: _id, version: _version, ...body } = highPressure
      const levels = body.levels.slice(1).map(({ condition, severity }) => ({
        severity,
        condition: { kind: "held" as const, seconds: 600, condition }
      }))
      yield* as(putRule("held-high", { ...body, levels }, undefined))
      // Registered now; kept for itself what it measured in the last two hours.
      yield* send("p1", [
        [0, 9],
        [5, 9],
        [20, 9],
        [30, 5]
      ])
      yield* follow.settle
      const told = yield* as(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql<{ at: Date; cleared: boolean }>`
            select started_at as at, cleared_at is not null as cleared from mahalla.alert where rule = 'held-high'`
        )
      )
      assert.deepStrictEqual(
        told.map(({ at, cleared }) => [at.getTime(), cleared]),
        [[start + 10 * minute, true]]
      )
    })
  )

  it.effect("follows_a_device_that_moves_and_puts_its_alert_where_it_is", () =>
    Effect.gen(function* () {
      const { as, process } = yield* open
      const degrees = ["latitude", "longitude"].map((key) => ({ key, title: key, unit: "deg" }))
      const tracker = yield* as(createProfile("tracker", { datastreams: degrees, format: "json", retention: 90 }))
      yield* as(createDevices([{ name: "truck", profileId: tracker.id, longitude: 66.97, latitude: 39.65 }], () => ""))
      const { id: _id, version: _version, ...body } = highPressure
      const area = { type: "Circle" as const, coordinates: [66.97, 39.65], radius: 2000 }
      const levels = [
        { severity: "warning" as const, condition: { kind: "geofence" as const, is: "outside" as const, area } }
      ]
      yield* as(putRule("strayed", { ...body, levels, scope: { kind: "each", profiles: ["tracker"] } }, undefined))
      const at = (latitude: number) => ({ latitude, longitude: 66.97 })
      const first = yield* process()
      yield* first.sendAll("truck", [[0, at(39.651)]])
      yield* first.follow.settle
      // Another process goes on with what was written; a late place changes nothing.
      const second = yield* process()
      yield* second.sendAll("truck", [[10, at(39.7)]])
      yield* second.sendAll("truck", [[5, at(39.652)]])
      yield* second.follow.settle
      const told = as(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql<{ at: Date; cleared: boolean; longitude: number; latitude: number }>`
            select a.started_at as at, a.cleared_at is not null as cleared, c.longitude, c.latitude
            from mahalla.alert a join mahalla.civic_case c on c.tenant_id = a.tenant_id and c.id = a.case_id`
        )
      )
      const strayed = { at: new Date(start + 10 * minute), longitude: 66.97, latitude: 39.7 }
      assert.deepStrictEqual(yield* told, [{ ...strayed, cleared: false }])
      yield* second.sendAll("truck", [[20, at(39.65)]])
      yield* second.follow.settle
      assert.deepStrictEqual(yield* told, [{ ...strayed, cleared: true }])
    })
  )

  it.effect("keeps_what_detection_found_with_what_was_expected", () =>
    Effect.gen(function* () {
      const { as, process } = yield* open
      const { follow, send } = yield* process()
      yield* send("p1", [
        [0, 5],
        [1, 25]
      ])
      yield* follow.settle
      const found = yield* as(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql<{ kind: string; value: number; low: number; high: number }>`
            select kind, value, low, high from mahalla.anomaly`
        )
      )
      assert.deepStrictEqual(found, [{ kind: "range", value: 25, low: 0, high: 20 }])
    })
  )
})
