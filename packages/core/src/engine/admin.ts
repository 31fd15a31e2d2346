/** What whoever runs the process may do: make tenants, territories and first administrators. No policy stands between. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { TenantTx, withPlatform, withTenant } from "../kernel/db/Database.ts"
import { newId } from "../kernel/ids.ts"
import { alone } from "../kernel/leases/lease.ts"
import {
  confirmEscrow,
  destroyTenantKeys,
  keyState,
  type KeyState,
  masterState,
  type MasterState
} from "../kernel/personal/keyState.ts"
import { SealedParts } from "../kernel/personal/registry.ts"
import { rotateTenantKey } from "../kernel/personal/reseal.ts"
import { type NameRow, sealName, withName } from "../kernel/personal/people.ts"
import type { Tenant } from "../kernel/tenancy/Tenant.ts"
import { listTenants, tenantBySlug } from "../kernel/tenancy/resolve.ts"
import { createTenant, type NewTenant } from "../kernel/tenancy/tenants.ts"
import {
  allPlatformAdmins,
  blockAdmin,
  createPlatformAdmin,
  issuePlatformLink,
  onTheMachine,
  type PlatformAdmin,
  resetAdminFactor,
  unblockAdmin
} from "../kernel/platform/admins.ts"
import { Queue, type QueueDepth } from "../ports/Queue.ts"
import { failingConsumers, type FailingConsumer } from "../kernel/events/Consumer.ts"
import { databaseAnswers, pluginHealth } from "./http/health.ts"
import type { CityRuntime } from "./runtime.ts"
import type { Erased } from "../kernel/Erased.ts"

export interface CityHealth {
  readonly database: boolean
  readonly plugins: ReadonlyArray<{
    readonly id: string
    readonly instance: string
    readonly status: string
    readonly detail?: string
  }>
  readonly queues: ReadonlyArray<QueueDepth>
  /** Consumers that stand still before an event. */
  readonly consumers: ReadonlyArray<FailingConsumer>
}

export interface CityAdmin {
  readonly tenants: {
    readonly list: () => Promise<ReadonlyArray<Tenant>>
    /** Fails when the slug is taken. */
    readonly create: (tenant: typeof NewTenant.Encoded) => Promise<Tenant>
  }
  readonly principals: {
    /** Makes a staff member with roles in the whole tenant; for the first administrator and for demo data. */
    readonly createStaff: (
      tenant: string,
      staff: { readonly name: string; readonly roles: ReadonlyArray<string>; readonly language?: string }
    ) => Promise<{ readonly id: string }>
  }
  readonly platform: {
    /** Makes a super-admin of the whole deployment. */
    readonly createAdmin: (name: string) => Promise<{ readonly id: string }>
    /** All of them, blocked ones too. */
    readonly admins: () => Promise<ReadonlyArray<PlatformAdmin>>
    /** A one-time token by which they sign in at `/v1/platform/session`, good for 15 minutes. */
    readonly link: (id: string) => Promise<string>
    /** Shuts somebody out with their next request, and ends all that they hold: sign-ins, links, accesses to cities. */
    readonly block: (id: string, reason: string) => Promise<void>
    readonly unblock: (id: string) => Promise<void>
    /** Takes a lost authenticator app away, and ends all that they hold. */
    readonly resetSecondFactor: (id: string) => Promise<void>
  }
  /** Active staff who hold a role in the whole tenant, longest-serving first. */
  readonly staffWithRole: (
    tenant: string,
    role: string
  ) => Promise<ReadonlyArray<{ readonly id: string; readonly name: string | null }>>
  readonly keys: {
    /** The master key in use. */
    readonly master: () => Promise<MasterState>
    /** Says that the secret is kept somewhere else too. */
    readonly confirmEscrow: () => Promise<void>
    readonly state: (tenant: string) => Promise<KeyState>
    /** Gives the tenant a new key; worker processes bring what is sealed there. Gives the version. */
    readonly rotate: (tenant: string) => Promise<number>
    /** Destroys the tenant's keys, and with them every value that they have sealed. There is no way back. */
    readonly destroy: (tenant: string) => Promise<void>
  }
  /** Database, plugins and queues, as `doctor` and dashboards show them. */
  readonly health: () => Promise<CityHealth>
  /**
   * Runs work that is not made for two at once, as laying out first data: of several who ask on one database, in this process or another, the
   * others wait until it has ended. `name` says which work it is.
   */
  readonly alone: <A>(name: string, work: () => Promise<A>) => Promise<A>
  /** Runs an Effect inside a transaction of a tenant with everything the city has in context. */
  readonly run: <A, E>(tenant: string, effect: Effect.Effect<A, E, Erased>) => Promise<A>
}

export const makeAdmin = (runtime: () => CityRuntime): CityAdmin => {
  const perform = <A, E>(effect: Effect.Effect<A, E, Erased>): Promise<A> =>
    Effect.runPromise(Effect.provideContext(effect, runtime().context as Context.Context<Erased>))
  const inside = <A, E>(slug: string, effect: Effect.Effect<A, E, Erased>) =>
    Effect.flatMap(tenantBySlug(slug), (tenant) => withTenant(tenant.tenantId)(effect))
  return {
    tenants: {
      list: () => perform(listTenants),
      create: (tenant) => perform(withPlatform(createTenant(tenant)))
    },
    principals: {
      createStaff: (slug, staff) =>
        perform(
          inside(
            slug,
            Effect.gen(function* () {
              const { sql, tenantId } = yield* TenantTx
              const id = yield* newId
              yield* sql`
                insert into mahalla.principal (tenant_id, id, kind, name_sealed, language)
                values (${tenantId}, ${id}, 'staff', ${yield* sealName(id, staff.name)}, ${staff.language ?? "en"})`
              for (const role of staff.roles) {
                yield* sql`insert into mahalla.role_grant (tenant_id, id, principal_id, role) values (${tenantId}, ${yield* newId}, ${id}, ${role})`
              }
              return { id }
            })
          )
        )
    },
    platform: {
      createAdmin: (name) => perform(withPlatform(createPlatformAdmin(name))),
      admins: () => perform(withPlatform(allPlatformAdmins)),
      link: (id) => perform(withPlatform(issuePlatformLink(id))),
      block: (id, reason) => perform(withPlatform(Effect.asVoid(onTheMachine(blockAdmin(id, reason))))),
      unblock: (id) => perform(withPlatform(onTheMachine(unblockAdmin(id)))),
      resetSecondFactor: (id) => perform(withPlatform(onTheMachine(resetAdminFactor(id))))
    },
    staffWithRole: (slug, role) =>
      perform(
        inside(
          slug,
          Effect.gen(function* () {
            const { sql, tenantId } = yield* TenantTx
            const rows = yield* sql<NameRow>`
              select p.id, p.name, p.name_sealed from mahalla.principal p join mahalla.role_grant g on g.tenant_id = p.tenant_id and g.principal_id = p.id
              where p.tenant_id = ${tenantId} and g.role = ${role} and g.territory_id is null and (g.until is null or g.until > now())
                and p.status = 'active' order by p.id`
            return yield* Effect.forEach(rows, withName)
          })
        )
      ),
    keys: {
      master: () => perform(masterState),
      confirmEscrow: () => perform(confirmEscrow),
      state: (slug) => perform(Effect.flatMap(tenantBySlug(slug), ({ tenantId }) => keyState(tenantId))),
      rotate: (slug) =>
        perform(
          Effect.gen(function* () {
            const { tenantId } = yield* tenantBySlug(slug)
            return yield* rotateTenantKey(tenantId, yield* SealedParts)
          })
        ),
      destroy: (slug) => perform(Effect.flatMap(tenantBySlug(slug), ({ tenantId }) => destroyTenantKeys(tenantId)))
    },
    health: () =>
      perform(
        Effect.gen(function* () {
          return {
            database: yield* databaseAnswers,
            plugins: yield* pluginHealth(runtime()),
            queues: yield* Effect.flatMap(Queue, (queue) => queue.depth),
            consumers: yield* withPlatform(failingConsumers)
          }
        })
      ),
    alone: (name, work) =>
      perform(
        Effect.flatMap(newId, (holder) =>
          alone(`alone:${name}`, holder)(Effect.tryPromise({ try: work, catch: (error) => error }))
        )
      ),
    run: (slug, effect) => perform(inside(slug, effect))
  }
}
