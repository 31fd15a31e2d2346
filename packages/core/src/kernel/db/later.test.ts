import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { inject } from "vitest"
import { createTenant, testKernel } from "../../testing/kernel.ts"
import { appendEvent } from "../events/append.ts"
import { defineEvent } from "../events/Event.ts"
import { sequence } from "../events/sequencer.ts"
import { enqueue } from "../jobs/enqueue.ts"
import { personalOfEvent } from "../personal/personalOfEvents.ts"
import { TenantTx, withPlatform, withTenant } from "./Database.ts"

const Happened = defineEvent({
  id: "later.happened",
  payload: Schema.Struct({ n: Schema.Int, who: Schema.String }),
  personal: ["who"]
})
const happen = (n: number) => appendEvent(Happened, { n, who: `person ${n}` })

const written = Effect.gen(function* () {
  const { sql } = yield* TenantTx
  const rows = yield* sql<{ id: string; n: number; jobs: number }>`
    select e.id, (e.payload ->> 'n')::int as n, (select count(*)::int from mahalla.job) as jobs
    from mahalla.event_order o join mahalla.event e on e.tenant_id = o.tenant_id and e.id = o.event_id order by o.position`
  const events = yield* Effect.forEach(rows, ({ id, n }) =>
    Effect.map(personalOfEvent(id), (personal) => [n, personal[0]?.value])
  )
  return { events, jobs: rows[0]?.jobs ?? 0 }
})

layer(testKernel({ postgresUrl: inject("postgresUrl") }), { excludeTestServices: true })("later writes", (it) => {
  it.effect("stand_in_the_order_in_which_they_were_made_whatever_came_between", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const numbers = Array.from({ length: 30 }, (_, n) => n)
      yield* withTenant(tenantId)(
        Effect.forEach(numbers, (n) => Effect.andThen(happen(n), enqueue([{ topic: "a.job", body: n }])), {
          discard: true
        })
      )
      yield* withPlatform(sequence())
      const { events, jobs } = yield* withTenant(tenantId)(written)
      assert.deepStrictEqual(
        events,
        numbers.map((n) => [n, `person ${n}`])
      )
      assert.strictEqual(jobs, 30)
    })
  )

  it.effect("of_a_try_that_was_rolled_back_are_forgotten", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      let tries = 0
      yield* withTenant(tenantId)(
        Effect.gen(function* () {
          const { sql } = yield* TenantTx
          yield* happen(++tries)
          if (tries < 3) yield* sql`do $$ begin raise exception 'deadlock' using errcode = '40P01'; end $$`
        })
      )
      yield* Effect.exit(withTenant(tenantId)(Effect.andThen(happen(9), Effect.fail("no"))))
      yield* withPlatform(sequence())
      assert.deepStrictEqual((yield* withTenant(tenantId)(written)).events, [[3, "person 3"]])
    })
  )

  it.effect("that_the_database_refuses_undo_the_rest", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const exit = yield* Effect.exit(
        withTenant(tenantId)(Effect.andThen(happen(1), enqueue([{ topic: "a.job", body: null, maxAttempts: 0 }])))
      )
      assert.strictEqual(exit._tag, "Failure")
      yield* withPlatform(sequence())
      assert.deepStrictEqual((yield* withTenant(tenantId)(written)).events, [])
    })
  )
})
