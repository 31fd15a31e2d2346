/** Founding and changing tenants: work of the platform, for whoever runs the deployment; no policy stands before it. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { InvalidInput, NotFound } from "../cases/model.ts"
import { issuesOf } from "../cases/schema.ts"
import { inTransactionOf, PlatformTx, withPlatform } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { defineEvent } from "../events/Event.ts"
import { Id, newId } from "../ids.ts"
import { forgetTenants } from "./resolve.ts"
import { type Tenant, TenantSettings } from "./Tenant.ts"

const Name = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200))
const Slug = Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9-]{0,62}$/))
/** A host name without a port, lower case. */
const Host = Schema.String.check(Schema.isPattern(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/))

export const NewTenant = Schema.Struct({
  /** Default: a new one. */
  tenantId: Schema.optionalKey(Id),
  slug: Slug,
  name: Name,
  hosts: Schema.optionalKey(Schema.Array(Host)),
  settings: TenantSettings
})
export type NewTenant = typeof NewTenant.Type

/** What is given replaces what was; settings as a whole. */
export const TenantChange = Schema.Struct({
  name: Schema.optionalKey(Name),
  hosts: Schema.optionalKey(Schema.Array(Host)),
  settings: Schema.optionalKey(TenantSettings)
})
export type TenantChange = typeof TenantChange.Type

export const TenantCreated = defineEvent({
  id: "tenant.created",
  payload: Schema.Struct({ slug: Schema.String, name: Schema.String })
})
export const TenantUpdated = defineEvent({
  id: "tenant.updated",
  payload: Schema.Struct({ name: Schema.String, hosts: Schema.Array(Schema.String), settings: TenantSettings })
})

const issue = (pointer: string, detail: string) => new InvalidInput({ issues: [{ pointer, detail }] })
const invalid = (error: Schema.SchemaError) => new InvalidInput({ issues: issuesOf(error) })
const strict = { errors: "all", onExcessProperty: "error" } as const
const decodeNew = Schema.decodeUnknownEffect(NewTenant, strict)
const decodeChange = Schema.decodeUnknownEffect(TenantChange, strict)

/** One at a time: a host name is one tenant's, which no constraint can say of an array. */
const demandFreeHosts = Effect.fnUntraced(function* (tenantId: string, hosts: ReadonlyArray<string>) {
  const { sql } = yield* PlatformTx
  yield* sql`select pg_advisory_xact_lock(hashtextextended('mahalla.tenant', 0))`
  const taken = yield* sql<{ slug: string; hosts: ReadonlyArray<string> }>`
    select slug, hosts from mahalla.tenant where hosts && ${hosts}::text[] and tenant_id <> ${tenantId}`
  const other = taken[0]
  if (other === undefined) return
  const place = hosts.findIndex((host) => other.hosts.includes(host))
  return yield* issue(`/hosts/${place}`, `${hosts[place]} is the tenant ${other.slug}'s. Take it away there first.`)
})

/** The event of a tenant, in the platform's transaction. */
const announce = <A, E, R>(tenantId: string, event: Effect.Effect<A, E, R>) =>
  Effect.flatMap(PlatformTx, ({ sql }) => inTransactionOf(tenantId, sql, event))

/** Founds a tenant in a transaction of its own. `InvalidInput` says which setting is wrong, or which name is taken. */
export const createTenant = Effect.fn("createTenant")(function* (input: NewTenant) {
  const { sql } = yield* PlatformTx
  const given = yield* Effect.mapError(decodeNew(input), invalid)
  const { name, settings, slug } = given
  const tenantId = given.tenantId ?? (yield* newId)
  const hosts = [...new Set(given.hosts ?? [])]
  yield* demandFreeHosts(tenantId, hosts)
  const made = yield* sql`
    insert into mahalla.tenant (tenant_id, slug, name, hosts, settings)
    values (${tenantId}, ${slug}, ${name}, ${hosts}::text[], ${JSON.stringify(settings)}::text::jsonb)
    on conflict do nothing returning tenant_id`
  if (made.length === 0)
    return yield* issue("/slug", `There is a tenant ${slug} already, or one of this id. Choose another name.`)
  yield* announce(tenantId, appendEvent(TenantCreated, { slug, name }))
  yield* sql.afterCommit(forgetTenants)
  return { tenantId, slug, name, hosts, settings } satisfies Tenant
}, withPlatform)

/** Changes a tenant in a transaction of its own. The slug stays: it stands in addresses that people have. */
export const updateTenant = Effect.fn("updateTenant")(function* (tenantId: string, input: TenantChange) {
  const { sql } = yield* PlatformTx
  const change = yield* Effect.mapError(decodeChange(input), invalid)
  const hosts = change.hosts === undefined ? undefined : [...new Set(change.hosts)]
  if (hosts !== undefined) yield* demandFreeHosts(tenantId, hosts)
  const [tenant] = yield* sql<Tenant>`
    update mahalla.tenant set
      name = coalesce(${change.name ?? null}, name),
      hosts = coalesce(${hosts ?? null}::text[], hosts),
      settings = coalesce(${change.settings === undefined ? null : JSON.stringify(change.settings)}::text::jsonb, settings)
    where tenant_id = ${tenantId}
    returning tenant_id as "tenantId", slug, name, hosts, settings`
  if (tenant === undefined) return yield* new NotFound({ what: "tenant", id: tenantId })
  const { name, settings } = tenant
  yield* announce(tenantId, appendEvent(TenantUpdated, { name, hosts: tenant.hosts, settings }))
  yield* sql.afterCommit(forgetTenants)
  return tenant
}, withPlatform)
