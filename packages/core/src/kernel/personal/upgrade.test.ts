/** A database of the version before values were sealed, with people in it, brought to this one. */
import pg from "pg"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { assert, it } from "@effect/vitest"
import { inject } from "vitest"
import { freshDatabase } from "../../testing/freshDatabase.ts"
import { layerDatabase, TenantTx, withTenant } from "../db/Database.ts"
import { migrate } from "../db/migrate.ts"
import { deriveLogins, ensureRoles, loginUrl } from "../db/roles.ts"
import { commitment } from "../events/append.ts"
import { newId } from "../ids.ts"
import { kernelMigrations } from "../migrations.ts"
import { kernelParts } from "./kernelParts.ts"
import { mastersOf } from "./master.ts"
import { nameOf, type NameRow, principalOfPhone } from "./people.ts"
import { personalOf } from "./personalOfEvents.ts"
import { resealTurn } from "./reseal.ts"
import { layerVault } from "./Vault.ts"

const secret = Redacted.make("a secret for the tests of the upgrade, long enough")

it.live("an_older_database_is_sealed_after_its_migration_and_everybody_is_found_on_the_way", () =>
  Effect.gen(function* () {
    const { admin, owner } = yield* freshDatabase(inject("postgresUrl"))
    const logins = deriveLogins(owner, secret)
    const prepare = ensureRoles(logins)
    const before = kernelMigrations.filter(({ id }) => id < 9)
    yield* migrate({ owner, migrations: before, prepare })
    const ask = (text: string, values: ReadonlyArray<unknown> = []) =>
      Effect.promise(async () => {
        const client = new pg.Client({ connectionString: Redacted.value(admin) })
        await client.connect()
        const { rows } = await client.query(text, [...values])
        await client.end()
        return rows as ReadonlyArray<Record<string, unknown>>
      })
    const [tenantId, person, event] = [yield* newId, yield* newId, yield* newId]
    const phone = "+998901112233"
    yield* ask("insert into mahalla.tenant (tenant_id, slug, name, settings) values ($1, 'old', 'Old', '{}')", [
      tenantId
    ])
    yield* ask(
      "insert into mahalla.principal (tenant_id, id, kind, phone, name) values ($1, $2, 'person', $3, 'Nodira')",
      [tenantId, person, phone]
    )
    yield* ask(
      `insert into mahalla.event (tenant_id, id, type, actor_id, payload, commitments, occurred_at)
       values ($1, $2, 'principal.staff-created', null, jsonb_build_object('principalId', $3::uuid), jsonb_build_object('name', $4::text), now())`,
      [tenantId, event, person, commitment("salt", "Nodira")]
    )
    yield* ask(
      "insert into mahalla.event_personal (tenant_id, event_id, field, salt, value) values ($1, $2, 'name', 'salt', to_jsonb('Nodira'::text))",
      [tenantId, event]
    )

    yield* migrate({ owner, migrations: kernelMigrations, prepare })
    const city = Layer.provideMerge(
      layerVault(mastersOf(secret)),
      layerDatabase({
        app: loginUrl(owner, logins.app),
        platform: loginUrl(owner, logins.platform),
        maxConnections: 4,
        pooled: false
      })
    )
    const seen = withTenant(tenantId)(
      Effect.gen(function* () {
        const { sql } = yield* TenantTx
        const rows = yield* sql<NameRow>`select id, name, name_sealed from mahalla.principal`
        const [value] = yield* personalOf(person)
        return {
          found: (yield* principalOfPhone(phone))?.id,
          name: yield* nameOf(rows[0]!),
          value: value?.value,
          commitment: value === undefined ? undefined : commitment(value.salt, value.value)
        }
      })
    )
    const expected = { found: person, name: "Nodira", value: "Nodira", commitment: commitment("salt", "Nodira") }
    yield* Effect.provide(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* seen, expected)
        while ((yield* resealTurn(kernelParts)) > 0);
        assert.deepStrictEqual(yield* seen, expected)
      }),
      city
    )
    const [left] = yield* ask(
      `select (select count(*)::int from mahalla.principal where phone is not null or name is not null)
         + (select count(*)::int from mahalla.event_personal where salt is not null or value is not null)
         + (select count(*)::int from mahalla.reseal where finished_at is null) as amount`
    )
    assert.deepStrictEqual(left, { amount: 0 })
  }).pipe(Effect.scoped)
)
