/**
 * The second and the fifth family of tests about the second wall: what really passes it, for every table, verb, role and tenant; and that each
 * of the families sees when a single policy is dropped or opened: of all of them with `MAHALLA_SOAK=1`, otherwise of every fourth, from another
 * one each time.
 */
import { randomInt } from "node:crypto"
import type pg from "pg"
import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { TestKernel, testKernel } from "../../testing/kernel.ts"
import { withClient } from "../../test/wall/client.ts"
import { fill } from "../../test/wall/fill.ts"
import { holes, rows, tablesOf } from "../../test/wall/holes.ts"
import { surprises } from "../../test/wall/matrix.ts"
import { moduleMigrations } from "../../test/wall/migrations.ts"
import { mutationsOf } from "../../test/wall/mutations.ts"
import * as Redacted from "effect/Redacted"

const soak = process.env["MAHALLA_SOAK"] === "1"
const tenants = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"] as const

const roleOf = (url: Redacted.Redacted<string>) => decodeURIComponent(new URL(Redacted.value(url)).username)

/** Both tenants have a row in every table, and somebody logs in who was given nothing. */
const furnished = async (client: pg.Client) => {
  await fill(client, tenants)
  const counts = await rows<{ name: string; amount: number }>(
    client,
    `select c.relname as name, (xpath('/row/n/text()', query_to_xml(format('select count(distinct tenant_id) as n from mahalla.%I', c.relname), false, true, '')))[1]::text::int as amount
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
     where c.relnamespace = 'mahalla'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition order by 1`
  )
  // Otherwise nothing is proved by seeing nothing.
  assert.deepStrictEqual(
    counts.filter(({ amount }) => amount < 2).map(({ name }) => name),
    []
  )
  await client.query("create role mahalla_nobody_of_tests login")
  await client.query("grant usage on schema mahalla to mahalla_nobody_of_tests")
}

const kernel = testKernel({ postgresUrl: inject("postgresUrl"), migrations: moduleMigrations })

layer(kernel, { excludeTestServices: true })("the second wall", (it) => {
  const within = Effect.fnUntraced(function* <A>(
    use: (client: pg.Client, roles: Parameters<typeof surprises>[1]) => Promise<A>
  ) {
    const { admin, app, platform } = yield* TestKernel
    const roles = { app: roleOf(app), platform: roleOf(platform), nobody: "mahalla_nobody_of_tests" }
    return yield* withClient(admin, async (client) => {
      // Roles belong to the whole server: this one never leaves the transaction.
      await client.query("begin")
      await furnished(client)
      const answer = await use(client, roles)
      await client.query("rollback")
      return answer
    })
  })

  it.effect("lets_pass_what_was_granted_inside_one_tenant_and_nothing_else", () =>
    Effect.gen(function* () {
      const { asked, found } = yield* within((client, roles) => surprises(client, roles, tenants))
      assert.deepStrictEqual(found, [])
      assert.isAtLeast(asked, 1_000)
    })
  )

  it.effect(
    "case_24_turns_catalogue_and_matrix_red_when_one_policy_is_dropped_or_opened",
    () =>
      Effect.gen(function* () {
        const missed = yield* within(async (client, roles) => {
          const mutations = mutationsOf(await tablesOf(client))
          assert.isAtLeast(mutations.length, 150)
          const unseen: Array<string> = []
          const first = randomInt(4)
          // Where no row can change its tenant, it makes no difference what is asked of changed rows; only the catalogue can know.
          const fixed = (
            await rows<{ table: string }>(
              client,
              `select attrelid::regclass::text as table from pg_attribute where attname = 'tenant_id'
               and not has_column_privilege('mahalla_app', attrelid, attnum, 'update')`
            )
          ).map((row) => row.table)
          for (const { how, name, policy, table, text } of mutations.filter(
            (_, place) => soak || place % 4 === first
          )) {
            const same =
              policy === "tenant_update" && how === "opened for new rows" && fixed.includes(`mahalla.${table}`)
            await client.query("savepoint mutation")
            await client.query(text)
            if ((await holes(client)).length === 0) unseen.push(`catalogue: ${name}`)
            if (!same && (await surprises(client, roles, tenants, table)).found.length === 0)
              unseen.push(`matrix: ${name}`)
            await client.query("rollback to savepoint mutation")
          }
          return unseen
        })
        assert.deepStrictEqual(missed, [])
      }),
    300_000
  )
})
