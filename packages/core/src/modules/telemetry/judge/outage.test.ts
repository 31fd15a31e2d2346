/** A city that was down has heard nobody; it calls silent only whom it had called so before, and those who stay so when it listens again. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inject } from "vitest"
import { PlatformTx, TenantTx, withPlatform } from "../../../kernel/db/Database.ts"
import { controlRooms } from "../../../test/controlRooms.ts"
import { highPressure, migrations, minute, open, start } from "../../../test/judgingRoom.ts"
import { markOffline } from "../offline.ts"
import { putRule } from "../storedRules.ts"

/** Somebody listened from one time to another. */
const listened = (from: number, until: number) =>
  withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql`
        insert into mahalla.telemetry_hearing (from_at, until_at) values (${new Date(from)}, ${new Date(until)})`
    )
  )
const forget = withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => sql`delete from mahalla.telemetry_hearing`))

layer(controlRooms(inject("postgresUrl"), migrations), { excludeTestServices: true })("after an outage", (it) => {
  it.effect("who_became_due_meanwhile_may_be_silent_as_long_once_more", () =>
    Effect.gen(function* () {
      yield* forget
      const { alerts, as, process } = yield* open
      const { id: _id, version: _version, ...body } = highPressure
      const levels = [{ severity: "minor", condition: { kind: "offline", intervals: 5 } }] as const
      yield* as(putRule("silent", { ...body, levels }, undefined))
      const down = start + 90 * minute
      yield* listened(start - minute, down)
      const { follow, send } = yield* process()
      // Five minutes after its last word p2 was due when the city still listened, p1 when it did not.
      yield* send("p1", [[88, 5]])
      yield* send("p2", [[80, 5]])
      yield* follow.settle
      assert.deepStrictEqual(
        (yield* alerts).map(({ name, status }) => [name, status]),
        [["p2", "ACTIVE_UNACK"]]
      )
      // It listens for ten minutes by now, and p1 has said nothing.
      const up = Date.now() - 10 * minute
      yield* forget
      yield* listened(start - minute, down)
      yield* listened(up, Date.now())
      const later = yield* process()
      yield* later.follow.settle
      const seen = yield* as(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql<{ name: string; at: Date; active: boolean }>`
            select c.data ->> 'originatorName' as name, a.started_at as at, a.cleared_at is null as active
            from mahalla.alert a join mahalla.civic_case c on c.tenant_id = a.tenant_id and c.id = a.case_id order by c.id`
        )
      )
      assert.deepStrictEqual(
        seen.map(({ active, name }) => [name, active]),
        [
          ["p2", true],
          ["p1", true]
        ]
      )
      assert.strictEqual(seen[0]!.at.getTime(), start + 85 * minute)
      assert.approximately(seen[1]!.at.getTime(), up + 5 * minute, 1)
    })
  )

  it.effect("devices_are_there_as_the_rules_have_it", () =>
    Effect.gen(function* () {
      yield* forget
      const { as, process } = yield* open
      const down = Date.now() - 30 * minute
      yield* listened(down - 60 * minute, down)
      const { follow, send } = yield* process()
      yield* send("p1", [[119, 5]])
      yield* send("p2", [[119, 5]])
      yield* follow.settle
      const heard = (name: string, at: number) =>
        as(
          Effect.flatMap(
            TenantTx,
            ({ sql }) => sql`
              update mahalla.device_presence p set received_at = ${new Date(at)}, due_at = ${new Date(at + 2.5 * minute)}
              from mahalla.device d where d.tenant_id = p.tenant_id and d.id = p.device_id and d.name = ${name}`
          )
        )
      yield* heard("p1", down - minute)
      yield* heard("p2", down - 10 * minute)
      const offline = as(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql<{ name: string; since: Date | null; due: Date }>`
            select d.name, p.offline_since as since, p.due_at as due from mahalla.device_presence p
            join mahalla.device d on d.tenant_id = p.tenant_id and d.id = p.device_id order by d.name`
        )
      )
      const now = Date.now()
      yield* markOffline
      const [p1, p2] = yield* offline
      assert.isNull(p1!.since)
      assert.approximately(p1!.due.getTime(), now + 2.5 * minute, minute)
      assert.strictEqual(p2!.since?.getTime(), down - 7.5 * minute)
      // It listens for five minutes by now.
      yield* forget
      yield* listened(down - 60 * minute, down)
      yield* listened(Date.now() - 5 * minute, Date.now())
      yield* heard("p1", down - minute)
      yield* markOffline
      yield* markOffline
      const [silent] = yield* offline
      assert.approximately(silent!.since!.getTime(), Date.now() - 2.5 * minute, minute)
    })
  )
})
