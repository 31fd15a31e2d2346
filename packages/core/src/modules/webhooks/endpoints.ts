/** Endpoints as rows: made, found, changed and removed by the app that they belong to, or by staff. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type FieldIssue, InvalidInput, NotFound, Refused, VersionConflict } from "../../kernel/cases/model.ts"
import { CaseTypes } from "../../kernel/cases/registry.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { newId } from "../../kernel/ids.ts"
import { makeInside } from "../../kernel/outward/address.ts"
import { OutwardNetworks } from "../../kernel/outward/networks.ts"
import { judgeOutward } from "../../kernel/outward/post.ts"
import { lists } from "../../kernel/policy/decide.ts"
import { demandEverywhere, Forbidden, may } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import type { Endpoint } from "./model.ts"
import { hostOf, limits, WebhookChanged, WebhookCreated, WebhookRemoved, WebhookSecretRotated } from "./model.ts"
import { stillLane, wakeLane } from "./queue.ts"
import { addSecrets, endSecrets } from "./secrets.ts"
import type { SecretKind } from "./sign.ts"

/** What an endpoint is told; absent: null, false or empty. */
export interface GivenEndpoint {
  readonly url: string
  readonly description?: string
  readonly types?: ReadonlyArray<string> | null
  readonly caseTypes?: ReadonlyArray<string> | null
  readonly territoryId?: string | null
  readonly ordered?: boolean
  readonly ed25519?: boolean
}

type Permission = "webhook.read" | "webhook.manage"

export const endpointColumns = `id, principal_id as "principalId", url, description, types, case_types as "caseTypes",
  territory_id as "territoryId", ordered, ed25519, status, disabled_because as "disabledBecause", disabled_at as "disabledAt", version,
  created_at as "createdAt"`

/** An app needs no role for its own: the scope that it was let have, or its key's, is enough. */
const isOwn = Effect.fnUntraced(function* (permission: Permission, principalId: string) {
  const { id, kind, within } = yield* Actor
  return kind === "app" && id === principalId && within !== undefined && lists(within, permission, true)
})

const mayDo = Effect.fnUntraced(function* (permission: Permission, principalId: string) {
  if (yield* isOwn(permission, principalId)) return true
  return (yield* may(permission, { territoryPath: [], ownerId: principalId })).allowed
})

/** Whose endpoint the actor is about to make: their own unless they name an app; fails where they may not. */
export const demandOwner = Effect.fnUntraced(function* (principalId: string | undefined) {
  const actor = yield* Actor
  const owner = principalId ?? actor.id
  if (owner === null || !(yield* mayDo("webhook.manage", owner)))
    return yield* new Forbidden({
      permission: "webhook.manage",
      because: "no-permission",
      message: "This needs the permission webhook.manage; an app needs the scope webhooks.manage for its own."
    })
  return owner
})

/** The guard's judgement of an address, as it will be judged again at each attempt. Ask outside of transactions: it asks name servers. */
export const judgeAddress = Effect.fnUntraced(function* (url: string) {
  const isInside = makeInside(yield* OutwardNetworks)
  yield* judgeOutward({ url, isInside }).pipe(
    Effect.timeoutOrElse({
      duration: "5 seconds",
      orElse: () => Effect.fail({ message: "Nobody answers for the name of this address." })
    }),
    Effect.mapError(({ message }) => new InvalidInput({ issues: [{ pointer: "/url", detail: message }] }))
  )
})

const check = Effect.fnUntraced(function* ({ caseTypes, territoryId }: GivenEndpoint) {
  const { sql, tenantId } = yield* TenantTx
  const known = new Set((yield* CaseTypes).all.map(({ definition }) => definition.id))
  const issues: Array<FieldIssue> = (caseTypes ?? []).flatMap((type, place) =>
    known.has(type) ? [] : [{ pointer: `/caseTypes/${place}`, detail: "There is no such case type." }]
  )
  if (territoryId != null) {
    const found = yield* sql`select from mahalla.territory where tenant_id = ${tenantId} and id = ${territoryId}`
    if (found.length === 0) issues.push({ pointer: "/territoryId", detail: "There is no such territory." })
  }
  if (issues.length > 0) return yield* new InvalidInput({ issues })
})

const demandHearer = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  const { id } = yield* Actor
  const found = yield* sql`
    select from mahalla.principal where tenant_id = ${tenantId} and id = ${principalId} and status = 'active'
      and (kind = 'app' or id = ${id}::uuid)`
  if (found.length === 1) return
  return yield* new InvalidInput({ issues: [{ pointer: "/principalId", detail: "There is no such app." }] })
})

const kindsOf = ({ ed25519 = false }: Pick<GivenEndpoint, "ed25519">): ReadonlyArray<SecretKind> =>
  ed25519 ? ["v1", "v1a"] : ["v1"]

/** Makes an endpoint of a principal's; gives the ids of its secrets. */
export const createEndpoint = Effect.fn("webhooks.createEndpoint")(function* (
  given: GivenEndpoint,
  principalId: string | undefined
) {
  const owner = yield* demandOwner(principalId)
  const { sql, tenantId } = yield* TenantTx
  const { id: actorId } = yield* Actor
  yield* demandHearer(owner)
  yield* check(given)
  // One after the other for one owner: two at once would both be the last.
  yield* sql`select pg_advisory_xact_lock(hashtextextended(${`webhooks ${tenantId} ${owner}`}, 0))`
  const [count] = yield* sql<{ amount: number }>`
    select count(*)::int as amount from mahalla.webhook_endpoint where tenant_id = ${tenantId} and principal_id = ${owner}`
  if (count!.amount >= limits.endpointsPerPrincipal)
    return yield* new Refused({
      code: "too-many-webhooks",
      message: `Nobody may have more than ${limits.endpointsPerPrincipal} webhooks. Remove one that is not used.`
    })
  const id = yield* newId
  const at = new Date(yield* Clock.currentTimeMillis)
  const [row] = yield* sql<Endpoint>`
    insert into mahalla.webhook_endpoint
      (tenant_id, id, principal_id, url, description, types, case_types, territory_id, ordered, ed25519, created_at)
    values (${tenantId}, ${id}, ${owner}, ${given.url}, ${given.description ?? ""}, ${given.types ?? null}::text[],
      ${given.caseTypes ?? null}::text[], ${given.territoryId ?? null}, ${given.ordered ?? false}, ${given.ed25519 ?? false}, ${at})
    returning ${sql.literal(endpointColumns)}`
  yield* sql`insert into mahalla.webhook_lane (tenant_id, endpoint_id) values (${tenantId}, ${id})`
  const secretIds = yield* addSecrets(id, kindsOf(given))
  yield* appendEvent(WebhookCreated, { endpointId: id, principalId: owner, host: hostOf(given.url) }, { actorId })
  return { row: row!, secretIds }
})

/** An endpoint that the actor may read or change, or `NotFound`; `lock` keeps it for this transaction. */
export const endpointOf = Effect.fnUntraced(function* (id: string, permission: Permission, lock = false) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<Endpoint>`
    select ${sql.literal(endpointColumns)} from mahalla.webhook_endpoint
    where tenant_id = ${tenantId} and id = ${id} ${sql.literal(lock ? "for update" : "")}`
  if (row === undefined || !(yield* mayDo("webhook.read", row.principalId)))
    return yield* new NotFound({ what: "webhook", id })
  if (permission === "webhook.manage") yield* demandOwner(row.principalId)
  return row
})

/** Own endpoints, or everybody's for whoever may read them; newest first. */
export const listEndpoints = Effect.fnUntraced(function* (page: {
  readonly cursor: string | null
  readonly limit: number
  readonly status: string | null
  readonly principalId: string | null
}) {
  const { id } = yield* Actor
  const { sql, tenantId } = yield* TenantTx
  const all = (yield* may("webhook.read", { territoryPath: [] })).allowed
  if (!all && (id === null || !(yield* mayDo("webhook.read", id)))) yield* demandEverywhere("webhook.read")
  const whose = all ? page.principalId : id
  return yield* sql<Endpoint>`
    select ${sql.literal(endpointColumns)} from mahalla.webhook_endpoint
    where tenant_id = ${tenantId} and (${whose}::uuid is null or principal_id = ${whose}::uuid)
      and (${all ? null : page.principalId}::uuid is null or principal_id = ${page.principalId}::uuid)
      and (${page.status}::text is null or status = ${page.status}) and (${page.cursor}::uuid is null or id < ${page.cursor}::uuid)
    order by id desc limit ${page.limit}`
})

const changeable = Effect.fnUntraced(function* (id: string, ifVersion: number | undefined) {
  const row = yield* endpointOf(id, "webhook.manage", true)
  if (ifVersion !== undefined && ifVersion !== row.version)
    return yield* new VersionConflict({ what: "webhook", expected: ifVersion, found: row.version })
  return row
})

const announce = Effect.fnUntraced(function* ({ id, principalId, status, url }: Endpoint) {
  const { id: actorId } = yield* Actor
  yield* appendEvent(WebhookChanged, { endpointId: id, principalId, host: hostOf(url), status }, { actorId })
})

/** Puts other words in the place of an endpoint's; gives the ids of secrets that this made necessary. */
export const replaceEndpoint = Effect.fn("webhooks.replaceEndpoint")(function* (
  id: string,
  given: GivenEndpoint,
  ifVersion?: number
) {
  const { sql, tenantId } = yield* TenantTx
  const before = yield* changeable(id, ifVersion)
  yield* check(given)
  const [row] = yield* sql<Endpoint>`
    update mahalla.webhook_endpoint
    set url = ${given.url}, description = ${given.description ?? ""}, types = ${given.types ?? null}::text[],
      case_types = ${given.caseTypes ?? null}::text[], territory_id = ${given.territoryId ?? null}, ordered = ${given.ordered ?? false},
      ed25519 = ${given.ed25519 ?? false}, version = version + 1
    where tenant_id = ${tenantId} and id = ${id} returning ${sql.literal(endpointColumns)}`
  if (before.ed25519 && !row!.ed25519) yield* endSecrets(id, ["v1a"], 0)
  const secretIds = row!.ed25519 && !before.ed25519 ? yield* addSecrets(id, ["v1a"]) : []
  yield* announce(row!)
  return { row: row!, secretIds }
})

/** Pauses or resumes; a disabled one is resumed too, and begins with a clean slate. */
export const setStatus = Effect.fn("webhooks.setStatus")(function* (
  id: string,
  status: "active" | "paused",
  ifVersion?: number
) {
  const { sql, tenantId } = yield* TenantTx
  yield* changeable(id, ifVersion)
  const [row] = yield* sql<Endpoint>`
    update mahalla.webhook_endpoint
    set status = ${status}, disabled_because = null, disabled_at = null, version = version + 1
    where tenant_id = ${tenantId} and id = ${id} returning ${sql.literal(endpointColumns)}`
  yield* status === "active" ? wakeLane(id) : stillLane(id)
  yield* announce(row!)
  return row!
})

/** The rows of an endpoint with all that was sent there. */
export const dropEndpoint = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`delete from mahalla.webhook_endpoint where tenant_id = ${tenantId} and id = ${id}`
})

/** Removes an endpoint; nothing more is sent there. */
export const removeEndpoint = Effect.fn("webhooks.removeEndpoint")(function* (id: string, ifVersion?: number) {
  const { id: actorId } = yield* Actor
  const { principalId } = yield* changeable(id, ifVersion)
  yield* dropEndpoint(id)
  yield* appendEvent(WebhookRemoved, { endpointId: id, principalId }, { actorId })
})

/** New secrets beside those in force, which end after some hours. */
export const rotateSecrets = Effect.fn("webhooks.rotateSecrets")(function* (id: string, overlap: number) {
  const { id: actorId } = yield* Actor
  const row = yield* endpointOf(id, "webhook.manage", true)
  const othersEndAt = (yield* endSecrets(id, kindsOf(row), overlap)).toISOString()
  const secretIds = yield* addSecrets(id, kindsOf(row))
  yield* appendEvent(WebhookSecretRotated, { endpointId: id, principalId: row.principalId, othersEndAt }, { actorId })
  return { secretIds, othersEndAt }
})
