/**
 * The fourth family of tests about the second wall: twenty tenants share a few connections behind PgBouncer in transaction mode, and whatever
 * happens, none sees another's row or is left with another's setting. `MAHALLA_SOAK=1` runs twenty times as many transactions.
 */
import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { pooled } from "../../../../../scripts/services/pooler.ts"
import { createTenant, TestKernel, testKernel } from "../../testing/kernel.ts"
import { withClient } from "../../test/wall/client.ts"
import { fill } from "../../test/wall/fill.ts"
import { endings, fuzz } from "../../test/wall/fuzz.ts"
import { rows, tablesOf } from "../../test/wall/holes.ts"
import { moduleMigrations } from "../../test/wall/migrations.ts"
import { mutationsOf } from "../../test/wall/mutations.ts"

const soak = process.env["MAHALLA_SOAK"] === "1"
const seed = Number(process.env["MAHALLA_SEED"] ?? Date.now() % 1_000_000)
const options = { postgresUrl: inject("postgresUrl"), migrations: moduleMigrations, maxConnections: 8 }

const tenants = Effect.all(
  Array.from({ length: 20 }, () => Effect.map(createTenant(), ({ tenantId }) => tenantId)),
  { concurrency: 1 }
)

for (const [where, more] of [
  ["behind PgBouncer", { through: pooled }],
  ["on its own pool", {}]
] as const) {
  layer(testKernel({ ...options, ...more }), { excludeTestServices: true })(
    `connections that tenants share, ${where}`,
    (it) => {
      it.effect(
        "case_25_show_no_foreign_mark_whatever_is_aborted_or_cancelled",
        () =>
          Effect.gen(function* () {
            const { admin } = yield* TestKernel
            const all = yield* tenants
            yield* withClient(admin, (client) => fill(client, all))
            const tables = (yield* withClient(admin, tablesOf))
              .filter(({ granted, partition, tenant }) => tenant && !partition && granted.includes("select"))
              .map(({ name }) => name)
            const report = yield* fuzz({
              seed,
              tenants: all,
              transactions: soak ? 20_000 : 1_000,
              concurrency: 24,
              tables
            })
            assert.deepStrictEqual(report.wrong, [], `seed ${seed}`)
            for (const ending of endings) assert.isAtLeast(report.endings[ending], 1, `${ending}, seed ${seed}`)
            // What was acknowledged is there, what failed is not, and nothing was written under another name.
            const stored = yield* withClient(admin, (client) =>
              rows<{ tenant: string; amount: number }>(
                client,
                `select tenant_id as tenant, count(*)::int as amount from mahalla.territory where kind = 'fuzz' group by 1`
              )
            )
            const found = new Map(stored.map(({ amount, tenant }) => [tenant, amount]))
            for (const tenant of all) {
              const [least, there] = [report.written.get(tenant)!, found.get(tenant) ?? 0]
              assert.isAtLeast(there, least, `seed ${seed}`)
              assert.isAtMost(there, least + report.open.get(tenant)!, `seed ${seed}`)
            }
          }),
        soak ? 600_000 : 60_000
      )

      if (where === "behind PgBouncer")
        it.effect(
          "are_seen_to_leak_when_one_policy_is_opened_or_dropped",
          () =>
            Effect.gen(function* () {
              const { admin } = yield* TestKernel
              const three = (yield* tenants).slice(0, 3)
              const all = yield* withClient(admin, tablesOf)
              yield* withClient(admin, (client) => fill(client, three))
              // Reading is what the fuzz does on every table; what it writes are territories.
              const mutations = mutationsOf(all).filter(
                ({ how, policy, table }) =>
                  (policy === "tenant_select" && how === "opened") ||
                  (table === "territory" && policy === "tenant_insert" && how !== "opened")
              )
              assert.isAtLeast(mutations.length, 25)
              const unseen: Array<string> = []
              for (const { how, name, policy, table, text } of mutations) {
                const restore = yield* withClient(admin, async (client) => {
                  const [was] = await rows<{ using: string | null; check: string | null }>(
                    client,
                    `select qual as using, with_check as check from pg_policies where schemaname = 'mahalla' and tablename = $1 and policyname = $2`,
                    [table, policy]
                  )
                  await client.query(text)
                  const verb = policy.replace("tenant_", "")
                  return (
                    (how === "dropped" ? "" : `drop policy ${policy} on mahalla.${table}; `) +
                    `create policy ${policy} on mahalla.${table} for ${verb} to mahalla_app` +
                    (was!.using === null ? "" : ` using (${was!.using})`) +
                    (was!.check === null ? "" : ` with check (${was!.check})`)
                  )
                })
                const report = yield* fuzz({ seed, tenants: three, transactions: 60, concurrency: 8, tables: [table] })
                const nothingWritten = [...report.written.values()].every((amount) => amount === 0)
                if (report.wrong.length === 0 && !(how === "dropped" && nothingWritten)) unseen.push(name)
                yield* withClient(admin, (client) => client.query(restore))
              }
              assert.deepStrictEqual(unseen, [], `seed ${seed}`)
            }),
          120_000
        )
    }
  )
}
