/** Judging where devices and rules came and went meanwhile, and where there is much of them. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inject } from "vitest"
import { TenantTx } from "../../../kernel/db/Database.ts"
import { controlRooms } from "../../../test/controlRooms.ts"
import { highPressure, migrations, minute, open, start } from "../../../test/judgingRoom.ts"
import { type AlertEffect, activeAlertsOf, applyAlertEffects } from "../../control-room/index.ts"
import { changeDevice, listDevices } from "../devices.ts"
import { createProfile } from "../profiles.ts"
import type { Condition, Operand } from "../rules/definition.ts"
import { defineRule } from "../rules/validate.ts"
import { putRule, switchRule } from "../storedRules.ts"
import { alertKey } from "../zones/alert.ts"
import { judge } from "./judge.ts"

layer(controlRooms(inject("postgresUrl"), migrations), { excludeTestServices: true })(
  "judging what has changed",
  (it) => {
    it.effect("tells_of_a_rule_that_says_more_than_an_alert_holds_and_goes_on_with_the_others", () =>
      Effect.gen(function* () {
        const { alerts, as, process } = yield* open
        const { follow, send } = yield* process()
        const { id: _id, levels: _levels, version: _version, ...body } = highPressure
        const above = (than: Operand): Condition => ({ kind: "compare", datastream: "pressure", is: "above", than })
        const conditions = Array.from({ length: 19 }, (_, row) => ({
          kind: "any" as const,
          conditions: Array.from({ length: 9 }, (_, place) =>
            above({ kind: "attribute", attribute: `${"💧".repeat(40)}${9 * row + place}` })
          )
        }))
        const long = [above({ kind: "constant", value: 6 }), ...conditions]
        const levels = [{ severity: "minor", condition: { kind: "any", conditions: long } }] as const
        yield* as(putRule("long", { ...body, title: { en: "💧".repeat(100) }, levels }, undefined))
        yield* send("p1", [
          [0, 5],
          [1, 9]
        ])
        yield* follow.settle
        assert.deepStrictEqual((yield* alerts).map(({ severity }) => severity).toSorted(), ["major", "minor"])
      })
    )

    it.effect("clears_alerts_of_devices_that_went_while_nobody_judged", () =>
      Effect.gen(function* () {
        const { alerts, as, process } = yield* open
        const first = yield* process()
        yield* first.send("p1", [
          [0, 5],
          [1, 9]
        ])
        yield* first.follow.settle
        yield* as(
          Effect.flatMap(TenantTx, ({ sql }) => sql`update mahalla.device set status = 'retired' where name = 'p1'`)
        )
        const second = yield* process()
        yield* second.send("p2", [[2, 5]])
        yield* second.follow.settle
        assert.deepStrictEqual(
          (yield* alerts).map(({ status }) => status),
          ["CLEARED_UNACK"]
        )
      })
    )

    it.effect("clears_alerts_of_rules_that_went_before_their_state_was_written", () =>
      Effect.gen(function* () {
        const { alerts, as, process } = yield* open
        const { id, version: _version, ...body } = highPressure
        yield* as(putRule(id, body, undefined))
        const first = yield* process()
        yield* first.send("p1", [[0, 5]])
        yield* first.follow.settle
        yield* first.send("p1", [[1, 9]])
        yield* Effect.raceFirst(first.follow.run, Effect.sleep("2 seconds"))
        assert.deepStrictEqual(
          (yield* alerts).map(({ status }) => status),
          ["ACTIVE_UNACK"]
        )
        yield* as(switchRule(id, false, undefined))
        const second = yield* process()
        yield* second.follow.settle
        assert.deepStrictEqual(
          (yield* alerts).map(({ status }) => status),
          ["CLEARED_UNACK"]
        )
      })
    )

    it.effect("leaves_alerts_of_others_alone_also_where_a_rule_bears_their_name", () =>
      Effect.gen(function* () {
        const { as, process } = yield* open
        const { id: _id, version: _version, ...body } = highPressure
        yield* as(putRule("leak", body, undefined))
        const raise = (originator: string): AlertEffect => ({
          ...{ kind: "raise", key: { rule: "leak", originator }, episode: "1", at: start, severity: "major" },
          ...{ summary: "A leak.", details: {} }
        })
        const { items } = yield* as(listDevices({ q: "p1" }, {}))
        const device = items[0]!.id
        const leak = alertKey("01a1fb96-0a6f-7324-b14e-40eab5e1b1aa", start).originator
        const asset = "01a1fb96-0a6f-7324-b14e-40eab5e1b1bb"
        yield* as(applyAlertEffects([leak, asset, device, "set:north"].map(raise)))
        const { follow, send } = yield* process()
        yield* send("p2", [[0, 5]])
        yield* follow.settle
        const active = yield* as(activeAlertsOf(["leak"]))
        assert.deepStrictEqual(
          active.map(({ originator }) => originator),
          [leak, asset]
        )
      })
    )

    it.effect("calls_nobody_silent_whom_a_rule_that_came_with_a_restart_has_not_waited_for", () =>
      Effect.gen(function* () {
        const { alerts, as, process } = yield* open
        const first = yield* process(judge([]))
        yield* as(
          Effect.flatMap(
            TenantTx,
            ({ sql }) => sql`update mahalla.device set created_at = created_at - interval '1 day'`
          )
        )
        yield* first.send("p1", [[119, 5]])
        yield* first.send("p2", [[119, 5]])
        yield* first.follow.settle
        const silent = defineRule({
          ...{
            id: "silent",
            version: 1,
            title: { en: "Silent" },
            scope: { kind: "each", profiles: ["pressure sensor"] }
          },
          levels: [{ severity: "minor", condition: { kind: "offline", intervals: 5 } }]
        })
        const second = yield* process(judge([silent]))
        yield* second.follow.settle
        assert.deepStrictEqual(yield* alerts, [])
      })
    )

    it.effect("calls_nobody_silent_who_was_blocked_and_may_send_again", () =>
      Effect.gen(function* () {
        const { alerts, as, process } = yield* open
        const { id: _id, version: _version, ...body } = highPressure
        const levels = [{ severity: "minor", condition: { kind: "offline", intervals: 5 } }] as const
        yield* as(putRule("silent", { ...body, levels }, undefined))
        const { follow, send } = yield* process()
        for (const name of ["p1", "p2"]) yield* send(name, [[119, 5]])
        yield* follow.settle
        // Registered long since.
        yield* as(
          Effect.flatMap(
            TenantTx,
            ({ sql }) => sql`update mahalla.device set created_at = created_at - interval '3 days'`
          )
        )
        const { items } = yield* as(listDevices({ q: "p1" }, {}))
        for (const status of ["blocked", "active"] as const) {
          yield* as(changeDevice(items[0]!.id, { status }))
          yield* follow.settle
        }
        assert.deepStrictEqual(yield* alerts, [])
      })
    )

    it.effect("hears_a_device_whose_clock_was_ahead_and_is_set_right", () =>
      Effect.gen(function* () {
        const { alerts, process } = yield* open
        const { follow, send } = yield* process()
        // The latest of several counts.
        yield* send("p1", [
          [160, 9],
          [169, 5]
        ])
        yield* send("p2", [
          [160, 5],
          [169, 9]
        ])
        yield* follow.settle
        const seen = Effect.map(alerts, (all) => all.map(({ name, status }) => [name, status]))
        const before = [
          ["p1", "CLEARED_UNACK"],
          ["p2", "ACTIVE_UNACK"]
        ]
        assert.sameDeepMembers([...(yield* seen)], before)
        yield* send("p1", [[(Date.now() - start) / minute, 9]])
        yield* send("p2", [[(Date.now() - start) / minute, 5]])
        yield* follow.settle
        assert.sameDeepMembers(
          [...(yield* seen)],
          [
            ["p1", "CLEARED_UNACK"],
            ["p1", "ACTIVE_UNACK"],
            ["p2", "CLEARED_UNACK"]
          ]
        )
      })
    )

    it.effect("knows_more_devices_than_a_call_takes_arguments", () =>
      Effect.gen(function* () {
        const { alerts, as, process } = yield* open
        const other = yield* as(
          createProfile("unwatched", {
            datastreams: [{ key: "pressure", title: "Pressure", unit: "bar" }],
            format: "json",
            retention: 90
          })
        )
        yield* as(
          Effect.flatMap(
            TenantTx,
            ({ sql }) => sql`
            insert into mahalla.device (tenant_id, id, name, title, profile_id, gateway, status, groups, attributes, longitude, latitude, changed, created_at)
            select tenant_id, gen_random_uuid(), 'many-' || number, '', ${other.id}, gateway, status, groups, attributes, longitude, latitude, changed, created_at
            from mahalla.device, generate_series(1, 70000) number where name = 'p1'`
          )
        )
        const { follow, send } = yield* process()
        yield* send("p1", [[0, 9]])
        yield* follow.settle
        assert.deepStrictEqual(
          (yield* alerts).map(({ name }) => name),
          ["p1"]
        )
      })
    )
  }
)
