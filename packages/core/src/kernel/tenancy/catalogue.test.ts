/** The first of five families of tests about the second wall: what the database's catalogue says. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { migrate } from "../db/migrate.ts"
import { deriveLogins, ensureRoles } from "../db/roles.ts"
import { kernelMigrations } from "../migrations.ts"
import { freshDatabase } from "../../testing/freshDatabase.ts"
import { TestKernel, testKernel } from "../../testing/kernel.ts"
import { withClient } from "../../test/wall/client.ts"
import { holes, spoiled } from "../../test/wall/holes.ts"
import { moduleMigrations } from "../../test/wall/migrations.ts"

layer(testKernel({ postgresUrl: inject("postgresUrl"), migrations: moduleMigrations }), { excludeTestServices: true })(
  "the second wall",
  (it) => {
    it.effect("has_no_hole", () =>
      Effect.gen(function* () {
        const { admin } = yield* TestKernel
        assert.deepStrictEqual(yield* withClient(admin, holes), [])
      })
    )

    it.effect("is_whole_too_in_a_database_whose_tables_are_older_than_it", () =>
      Effect.gen(function* () {
        const { admin, owner } = yield* freshDatabase(inject("postgresUrl"))
        const prepare = ensureRoles(deriveLogins(owner, Redacted.make("not a secret")))
        const before = kernelMigrations.filter(({ id }) => id < 8)
        const first = moduleMigrations.filter(({ id }) => id === 1)
        yield* migrate({ owner, prepare, migrations: [...before, ...first] })
        assert.notDeepEqual(yield* withClient(admin, holes), [])
        yield* migrate({ owner, prepare, migrations: [...kernelMigrations, ...moduleMigrations] })
        assert.deepStrictEqual(yield* withClient(admin, holes), [])
      }).pipe(Effect.scoped)
    )

    it.effect("is_seen_to_have_one_when_anything_is_taken_away", () =>
      Effect.gen(function* () {
        const { admin } = yield* TestKernel
        const cases: ReadonlyArray<readonly [string, RegExp]> = [
          [
            "drop policy tenant_select on mahalla.civic_case",
            /civic_case has the policies platform_rows, tenant_insert/
          ],
          ["drop policy platform_rows on mahalla.event", /event has the policies tenant_insert, tenant_select instead/],
          ["alter table mahalla.payout disable row level security", /payout: row-level security is off/],
          ["alter table mahalla.finding no force row level security", /finding: row-level security is not forced/],
          ["alter policy tenant_select on mahalla.attachment using (true)", /attachment\.tenant_select asks for true/],
          ["alter policy tenant_update on mahalla.message with check (true)", /tenant_update asks new rows for true/],
          ["alter policy tenant_insert on mahalla.job to public", /job\.tenant_insert is for public/],
          ["create policy more on mahalla.offence using (true)", /offence has the policies more/],
          [
            "grant delete on mahalla.case_comment to mahalla_app",
            /case_comment has the policies .* instead of .*tenant_delete/
          ],
          ["create table mahalla.note (id uuid)", /note has no tenant_id and is not on the list/],
          [
            "create table mahalla.note (tenant_id uuid)",
            /note: tenant_id may be null.*note: row-level security is off/
          ],
          ["grant insert on mahalla.platform_log to mahalla_app", /platform_log belongs to no tenant and gives INSERT/],
          [
            "create unique index on mahalla.principal (phone)",
            /principal: the key principal_phone_idx is without the tenant/
          ],
          [
            "alter table mahalla.case_link add unique (to_id), add foreign key (to_id) references mahalla.case_link (to_id)",
            /case_link_to_id_fkey refers to case_link without the tenant/
          ],
          ["grant select on mahalla.principal to public", /everybody may SELECT principal/],
          ["grant select (phone) on mahalla.principal to public", /everybody may SELECT mahalla.principal.phone/],
          ["grant truncate on mahalla.case_link to mahalla_app", /case_link may be emptied/],
          ["grant mahalla_platform to mahalla_app", /mahalla_app is a member of mahalla_platform/],
          [
            "create function mahalla.f() returns int language sql security definer as 'select 1'",
            /f runs as its owner and is not on the list/
          ],
          ["alter function mahalla.actor_of reset search_path", /actor_of runs as its owner with/],
          ["grant execute on function mahalla.search_cases to public", /everybody may run search_cases/],
          ["alter role mahalla_app bypassrls", /mahalla_app may walk around/],
          ["alter table mahalla.territory owner to mahalla_platform", /territory belongs to a role/],
          [
            "create view mahalla.everybody as select * from mahalla.principal",
            /everybody would be read with its owner/
          ],
          ["create materialized view mahalla.everybody as select 1 as one", /everybody would be read with its owner/]
        ]
        for (const [text, expected] of cases) {
          const found = yield* withClient(admin, (client) => spoiled(client, text, holes))
          assert.match(found.join("; "), expected, text)
        }
        // A view that asks with its reader's rights is none.
        const invoker = "create view mahalla.mine with (security_invoker = true) as select * from mahalla.principal"
        assert.deepStrictEqual(yield* withClient(admin, (client) => spoiled(client, invoker, holes)), [])
      })
    )
  }
)
