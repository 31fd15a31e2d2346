/** Which tenant a request is for: its host name says it, else `/t/{slug}` in its path, else there is only one. */
import * as Effect from "effect/Effect"
import { NotFound } from "../cases/model.ts"
import { remembered } from "../db/remembered.ts"
import type { Tenant } from "./Tenant.ts"

interface Directory {
  readonly byId: ReadonlyMap<string, Tenant>
  readonly byHost: ReadonlyMap<string, Tenant>
  readonly bySlug: ReadonlyMap<string, Tenant>
  readonly only: Tenant | undefined
}

/** The whole list under one key: made-up host names cost no look into the database. */
const directory = remembered<"all", Directory>({
  keys: 1,
  seconds: 5,
  read: (sql) =>
    Effect.map(
      sql<Tenant & { readonly suspended: boolean }>`
        select tenant_id as "tenantId", slug, name, hosts, settings, suspended_at is not null as suspended from mahalla.tenant order by slug`,
      (rows) => {
        const tenants = rows.map(({ suspended, ...tenant }): Tenant => (suspended ? { ...tenant, suspended } : tenant))
        return {
          byId: new Map(tenants.map((tenant) => [tenant.tenantId, tenant])),
          byHost: new Map(tenants.flatMap((tenant) => tenant.hosts.map((host) => [host, tenant] as const))),
          bySlug: new Map(tenants.map((tenant) => [tenant.slug, tenant])),
          only: tenants.length === 1 ? tenants[0] : undefined
        }
      }
    )
})

/** After a tenant was founded or changed. */
export const forgetTenants = directory.forget("all")

/** The tenant of a request, as of five seconds ago at most. Fails with `NotFound` rather than guess. */
export const tenantOfRequest = Effect.fnUntraced(function* (request: {
  /** Host name without the port, lower case. */
  readonly host: string
  /** From a path that began with `/t/{slug}`. */
  readonly slug: string | null
}) {
  const { byHost, bySlug, only } = yield* directory.get("all")
  const { host, slug } = request
  const tenant = byHost.get(host.replace(/\.$/, "")) ?? (slug === null ? only : bySlug.get(slug))
  return tenant ?? (yield* new NotFound({ what: "tenant", id: slug ?? host }))
})

/** By its short name. */
export const tenantBySlug = Effect.fnUntraced(function* (slug: string) {
  const { bySlug } = yield* directory.get("all")
  return bySlug.get(slug) ?? (yield* new NotFound({ what: "tenant", id: slug }))
})

/** By its id; one that was founded by another process a moment ago is found too. */
export const tenantById = Effect.fnUntraced(function* (tenantId: string) {
  const known = (yield* directory.get("all")).byId.get(tenantId)
  if (known !== undefined) return known
  yield* forgetTenants
  return (yield* directory.get("all")).byId.get(tenantId)
})

/** All of them, by slug. */
export const listTenants = Effect.map(directory.get("all"), ({ bySlug }) => [...bySlug.values()])
