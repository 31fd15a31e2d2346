/** What stands behind the doors for operators. */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { InvalidInput, NotFound } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { readEvents } from "../../kernel/events/read.ts"
import { answering, inTenant, RequestInfo } from "../../kernel/http/Door.ts"
import { once } from "../../kernel/http/once.ts"
import { newId } from "../../kernel/ids.ts"
import { Messengers } from "../../kernel/ports.ts"
import { nameOf, type NameRow, sealName, withName } from "../../kernel/personal/people.ts"
import { delegationsTo } from "../../kernel/policy/delegate.ts"
import { StaffCreated } from "../../kernel/policy/events.ts"
import { type GrantRow, grantRole, revokeRole } from "../../kernel/policy/grants.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { listTerritories } from "../../kernel/tenancy/territories.ts"
import { Queue } from "../../ports/Queue.ts"
import type { CityRuntime } from "../runtime.ts"
import { pluginHealth } from "./health.ts"
import { mask } from "../../kernel/mask.ts"
import { OpsApi } from "./opsApi.ts"

export const cityHandlers = HttpApiBuilder.group(OpsApi, "city", (handlers) =>
  handlers
    .handle("city", () =>
      Effect.map(RequestInfo, ({ tenant }) => ({
        slug: tenant.slug,
        name: tenant.name,
        languages: tenant.settings.languages,
        timeZone: tenant.settings.timeZone,
        country: tenant.settings.country,
        currency: tenant.settings.currency
      }))
    )
    .handle("territories", () =>
      inTenant(
        Effect.map(listTerritories(), (items) => ({
          items: items.map(({ id, kind, name, parentId }) => ({ id, parentId, kind, name }))
        }))
      )
    )
)

const grantView = (row: GrantRow) => ({
  id: row.id,
  role: row.role,
  territoryId: row.territory_id,
  until: row.until?.toISOString() ?? null
})

interface PrincipalRow extends NameRow {
  readonly kind: string
  readonly status: string
  readonly language: string
}

/** Names that one request for a name opens at most. */
const namesLookedAt = 1_000

const withGrants = Effect.fnUntraced(function* (rows: ReadonlyArray<PrincipalRow>) {
  const { sql, tenantId } = yield* TenantTx
  const grants = yield* sql<GrantRow>`
    select id, principal_id, role, territory_id, until from mahalla.role_grant
    where tenant_id = ${tenantId} and principal_id = any (${rows.map((row) => row.id)}::uuid[]) order by granted_at`
  const handed = yield* delegationsTo(rows.map((row) => row.id))
  return (yield* Effect.forEach(rows, withName)).map((row) => ({
    ...row,
    grants: grants.filter((grant) => grant.principal_id === row.id).map(grantView),
    delegations: handed.filter((delegation) => delegation.principalId === row.id)
  }))
})

const principalById = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows =
    yield* sql<PrincipalRow>`select id, kind, name, name_sealed, status, language from mahalla.principal where tenant_id = ${tenantId} and id = ${id}`
  const row = rows[0]
  if (row === undefined) return yield* new NotFound({ what: "principal", id })
  return (yield* withGrants([row]))[0]!
})

export const peopleHandlers = HttpApiBuilder.group(OpsApi, "people", (handlers) =>
  handlers
    .handle("listPrincipals", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("principal.read")
          const { sql, tenantId } = yield* TenantTx
          const limit = query.limit ?? 50
          const wanted = query.q?.toLowerCase()
          // Names are sealed: whoever looks for one has a part of the people opened and compared, and goes on with the cursor.
          const looked = wanted === undefined ? limit : namesLookedAt
          const rows = yield* sql<PrincipalRow>`
            select id, kind, name, name_sealed, status, language from mahalla.principal
            where tenant_id = ${tenantId} and (${query.kind ?? null}::text is null or kind = ${query.kind ?? null})
              and (${wanted ?? null}::text is null or name_sealed is not null or name is not null)
              and (${query.cursor ?? null}::uuid is null or id < ${query.cursor ?? null}::uuid)
            order by id desc limit ${looked + 1}`
          const seen = rows.slice(0, looked)
          const named = wanted === undefined ? [] : yield* Effect.forEach(seen, nameOf)
          const found = wanted === undefined ? seen : seen.filter((_, at) => named[at]?.toLowerCase().includes(wanted))
          const last = found.length > limit ? found[limit - 1] : rows.length > looked ? seen.at(-1) : undefined
          const items = yield* withGrants(found.slice(0, limit))
          return { items, ...(last === undefined ? {} : { cursor: last.id }) }
        })
      )
    )
    .handle("getPrincipal", ({ params }) =>
      inTenant(Effect.andThen(demandEverywhere("principal.read"), principalById(params.id)))
    )
    .handle("createStaff", ({ payload }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("principal.create")
          const actor = yield* Actor
          const { sql, tenantId } = yield* TenantTx
          const make = Effect.gen(function* () {
            const id = yield* newId
            yield* sql`
              insert into mahalla.principal (tenant_id, id, kind, name_sealed, language)
              values (${tenantId}, ${id}, 'staff', ${yield* sealName(id, payload.name)}, ${payload.language ?? "en"})`
            yield* appendEvent(StaffCreated, { principalId: id, name: payload.name }, { actorId: actor.id })
            return { status: 201, body: yield* principalById(id) }
          })
          return (yield* once("principals", payload, make)).body
        })
      )
    )
    .handle("grantRole", ({ params, payload }) => inTenant(Effect.map(grantRole(params.id, payload), grantView)))
    .handle("revokeRole", ({ params }) => inTenant(revokeRole(params.id, params.grant)))
)

export const operationsHandlers = (runtime: CityRuntime) =>
  HttpApiBuilder.group(OpsApi, "operations", (handlers) =>
    handlers
      .handle("listEvents", ({ query }) =>
        inTenant(
          Effect.gen(function* () {
            yield* demandEverywhere("event.read")
            if (query.after !== undefined && !/^\d{1,18}$/.test(query.after)) {
              return yield* new InvalidInput({
                issues: [{ pointer: "#query/after", detail: "Give a position, as 120." }]
              })
            }
            const limit = query.limit ?? 50
            const rows = yield* readEvents(BigInt(query.after ?? "0"), limit)
            const items = rows.map((row) => ({
              position: String(row.position),
              id: row.id,
              type: row.type,
              caseId: row.caseId,
              actorId: row.actorId,
              payload: row.payload,
              occurredAt: row.occurredAt.toISOString()
            }))
            return { items, ...(items.length === limit ? { cursor: items.at(-1)!.position } : {}) }
          })
        )
      )
      .handle("deadLetters", ({ query }) =>
        answering(
          Effect.gen(function* () {
            yield* demandEverywhere("job.read")
            const { tenantId } = yield* Actor
            const queue = yield* Queue
            const found = yield* Effect.mapError(queue.deadLetters({ tenantId, ...query }), (error) =>
              query.cursor !== undefined && !error.retryable
                ? new InvalidInput({ issues: [{ pointer: "#query/cursor", detail: error.message }] })
                : error
            )
            return {
              items: found.items.map((letter) => ({
                id: letter.id,
                topic: letter.topic,
                attempts: letter.attempts,
                // What a rail or a gateway said may repeat somebody's phone.
                error: mask(letter.error),
                diedAt: new Date(letter.diedAt).toISOString()
              })),
              ...(found.cursor === undefined ? {} : { cursor: found.cursor })
            }
          })
        )
      )
      .handle("replayDeadLetter", ({ params }) =>
        answering(withDeadLetter(params.id, "job.replay", (queue) => queue.replay([params.id])))
      )
      .handle("discardDeadLetter", ({ params }) =>
        answering(withDeadLetter(params.id, "job.discard", (queue) => queue.discard([params.id])))
      )
      .handle("plugins", () =>
        answering(
          Effect.gen(function* () {
            yield* demandEverywhere("plugin.read")
            return { items: yield* pluginHealth(runtime) }
          })
        )
      )
      .handle("outbox", ({ query }) =>
        answering(
          Effect.gen(function* () {
            yield* demandEverywhere("outbox.read")
            const { tenantId } = yield* Actor
            const messengers = yield* Messengers
            const items: Array<Record<string, unknown>> = []
            for (const [instance, messenger] of messengers) {
              if (messenger.outbox === undefined) continue
              for (const message of yield* messenger.outbox({
                tenantId,
                limit: query.limit ?? 50,
                ...(query.to === undefined ? {} : { to: query.to })
              })) {
                // A channel that does not know the filter shows nothing rather than another city's people.
                if (message.tenantId === tenantId) items.push({ instance, ...message })
              }
            }
            return { items }
          })
        )
      )
  )

/** Acts on a dead letter of the actor's own tenant only: the queue itself knows no policy. */
const withDeadLetter = Effect.fnUntraced(function* (
  id: string,
  permission: string,
  act: (queue: Queue["Service"]) => Effect.Effect<number, unknown>
) {
  yield* demandEverywhere(permission)
  const { tenantId } = yield* Actor
  const queue = yield* Queue
  let cursor: string | undefined
  do {
    const page: { items: ReadonlyArray<{ id: string }>; cursor?: string } = yield* queue.deadLetters({
      tenantId,
      limit: 500,
      ...(cursor === undefined ? {} : { cursor })
    })
    if (page.items.some((letter) => letter.id === id)) {
      yield* act(queue)
      return
    }
    cursor = page.cursor
  } while (cursor !== undefined)
  return yield* new NotFound({ what: "dead letter", id })
})
