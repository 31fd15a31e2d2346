/**
 * Who gets a digest now, among all citizens of a town: every third has news that waits, for every tenth of all the hour has come. The whole
 * audience, and the first two hundred that one transaction takes; with the plan. Arguments: `--citizens=1000000`, `--rounds=9`.
 */
import { TenantTx, withTenant } from "@mahalla/core/module"
import * as Effect from "effect/Effect"
import { PlatformTx, withPlatform } from "../packages/core/src/kernel/db/Database.ts"
import { dueDigests } from "../packages/core/src/modules/notifications/digests.ts"
import { figure, median } from "./measure.ts"
import { withTown } from "./notifications/town.ts"

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const value = (name: string, otherwise: number) =>
    Number(args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1] ?? otherwise)
  const rounds = value("rounds", 9)
  await withTown(value("citizens", 1_000_000), ({ citizens, tenantId }) =>
    Effect.gen(function* () {
      yield* withPlatform(
        Effect.gen(function* () {
          const { sql } = yield* PlatformTx
          yield* sql`
            insert into mahalla.digest_due (tenant_id, principal_id, due_at)
            select tenant_id, id, now() + case when n % 30 < 9 then interval '-1 minute' else interval '5 hours' end
            from (select tenant_id, id, row_number() over () as n from mahalla.principal where tenant_id = ${tenantId}) p where n % 3 = 0`
        })
      )
      const inside = withTenant(tenantId)
      const now = new Date()
      const timed = (limit: number) =>
        Effect.gen(function* () {
          const times: Array<number> = []
          let found = 0
          for (let round = 0; round < rounds; round++) {
            const began = performance.now()
            found = (yield* inside(dueDigests(now, limit))).length
            times.push(performance.now() - began)
          }
          return { found, time: median(times) }
        })
      const whole = yield* timed(citizens)
      figure("audience", `all ${whole.found} of ${citizens}`, "ms", whole.time, 1_000)
      figure("audience", "the first 200", "ms", (yield* timed(200)).time)
      const plan = yield* inside(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql<Record<string, string>>`
            explain (analyze, buffers, timing off) select principal_id as id from mahalla.digest_due
            where tenant_id = ${tenantId} and due_at <= ${now} order by due_at, principal_id limit 200 for update skip locked`
        )
      )
      console.error(plan.map((row) => row["QUERY PLAN"]).join("\n"))
    })
  )
}
