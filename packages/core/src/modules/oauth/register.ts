/** Registering, approving and deleting apps. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type FieldIssue, InvalidInput, NotFound, Refused } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { Unauthorized } from "../../kernel/http/Authentication.ts"
import { newId } from "../../kernel/ids.ts"
import { sealName } from "../../kernel/personal/people.ts"
import { demandAllOf } from "../../kernel/policy/giving.ts"
import { demandEverywhere, may } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { tenantSettings } from "../../kernel/tenancy/settings.ts"
import { type ClientRow, columns, newSecret } from "./clients.ts"
import { AppDecided, AppDeleted, AppRegistered, AppSecretRotated, limits } from "./model.ts"
import { redirectProblem } from "../../kernel/http/redirects.ts"
import { citizenScopes, permissionsOf, serverScopes } from "./scopes.ts"

export interface NewApp {
  readonly name: string
  readonly homepage?: string
  readonly auth: ClientRow["auth"]
  readonly redirectUris: ReadonlyArray<string>
  readonly grantTypes: ReadonlyArray<string>
  readonly scopes: ReadonlyArray<string>
  readonly jwks?: { readonly keys: ReadonlyArray<{ readonly [key: string]: unknown }> }
  readonly jwksUri?: string
}

const secretParts = ["d", "p", "q", "dp", "dq", "qi", "k", "oth"]

const issuesOf = (app: NewApp): ReadonlyArray<FieldIssue> => {
  const issues: Array<FieldIssue> = []
  const add = (pointer: string, detail: string | undefined) => {
    if (detail !== undefined) issues.push({ pointer, detail })
  }
  const byCode = app.grantTypes.includes("authorization_code")
  const byItself = app.grantTypes.includes("client_credentials")
  for (const [place, uri] of app.redirectUris.entries()) add(`/redirectUris/${place}`, redirectProblem(uri))
  if (byCode && app.redirectUris.length === 0) add("/redirectUris", "An app that acts for citizens needs one.")
  if (!byCode && app.redirectUris.length > 0) add("/redirectUris", "Only authorization_code has redirect addresses.")
  if (app.grantTypes.includes("refresh_token") && !byCode) add("/grantTypes", "refresh_token needs authorization_code.")
  if (byItself && app.auth === "none")
    add("/auth", "An app that acts by itself must be able to show who it is: client_secret_basic or private_key_jwt.")
  const can = (id: string) =>
    (byCode && citizenScopes.has(id)) || (byItself && serverScopes.some((one) => one.id === id))
  for (const [place, scope] of app.scopes.entries())
    if (!can(scope)) add(`/scopes/${place}`, "There is no such scope for these grant types.")
  const keys = Number(app.jwks !== undefined) + Number(app.jwksUri !== undefined)
  if (app.auth === "private_key_jwt" && keys !== 1) add("/jwks", "private_key_jwt needs either jwks or jwksUri.")
  if (app.auth !== "private_key_jwt" && keys > 0) add("/jwks", "Only private_key_jwt has keys.")
  if (app.jwks?.keys.some((key) => secretParts.some((part) => part in key)) === true)
    add("/jwks", "This is a private key. Keep it, and send its public part only.")
  for (const [pointer, uri] of [["/jwksUri", app.jwksUri] as const, ["/homepage", app.homepage] as const])
    if (uri !== undefined && (!URL.canParse(uri) || new URL(uri).protocol !== "https:"))
      add(pointer, "This must be an https address.")
  return issues
}

/** In person: whatever acts in somebody's name with a part of their rights makes no apps for them. */
const signedIn = Effect.flatMap(Actor, (actor) =>
  actor.id === null || actor.within !== undefined || (actor.kind !== "person" && actor.kind !== "staff")
    ? Effect.fail(new Unauthorized({ message: "Sign in to register and manage apps." }))
    : Effect.succeed(actor.id)
)

/** Registers an app of the actor's. It waits for approval unless the city asks for none. */
export const registerApp = Effect.fn("oauth.registerApp")(function* (app: NewApp) {
  const ownerId = yield* signedIn
  const { sql, tenantId } = yield* TenantTx
  const issues = issuesOf(app)
  if (issues.length > 0) return yield* new InvalidInput({ issues })
  // One after the other for one owner: two at once would both be the tenth.
  yield* sql`select pg_advisory_xact_lock(hashtextextended(${`oauth ${tenantId} ${ownerId}`}, 0))`
  const [count] = yield* sql<{ amount: number }>`
    select count(*)::int as amount from mahalla.oauth_client where tenant_id = ${tenantId} and owner_id = ${ownerId}`
  if (count!.amount >= limits.appsPerOwner)
    return yield* new Refused({
      code: "too-many-apps",
      message: `Nobody may have more than ${limits.appsPerOwner} apps. Delete one that is not used.`
    })
  const approved = (yield* tenantSettings).apps?.approval === "none"
  const id = yield* newId
  const now = new Date(yield* Clock.currentTimeMillis)
  yield* sql`insert into mahalla.principal (tenant_id, id, kind, name_sealed) values (${tenantId}, ${id}, 'app', ${yield* sealName(id, app.name)})`
  const [row] = yield* sql<ClientRow>`
    insert into mahalla.oauth_client
      (tenant_id, id, owner_id, name, homepage, auth_method, redirect_uris, grant_types, scopes, jwks, jwks_uri, status, created_at)
    values (${tenantId}, ${id}, ${ownerId}, ${app.name}, ${app.homepage ?? null}, ${app.auth}, ${[...new Set(app.redirectUris)]}::text[],
      ${[...new Set(app.grantTypes)]}::text[], ${[...new Set(app.scopes)]}::text[],
      ${app.jwks === undefined ? null : JSON.stringify(app.jwks)}::text::jsonb, ${app.jwksUri ?? null},
      ${approved ? "active" : "pending"}, ${now})
    returning ${sql.literal(columns)}`
  const secretId = app.auth === "client_secret_basic" ? (yield* newSecret(id)).id : null
  yield* appendEvent(AppRegistered, { appId: id, ownerId, name: app.name, approved }, { actorId: ownerId })
  return { row: row!, secretId }
})

/** An app that the actor may see: their own, or any with `app.read`. */
export const appOfActor = Effect.fnUntraced(function* (id: string, permission = "app.read") {
  const actorId = yield* signedIn
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<ClientRow>`
    select ${sql.literal(columns)} from mahalla.oauth_client where tenant_id = ${tenantId} and id = ${id}`
  const seen = row !== undefined && (row.ownerId === actorId || (yield* may(permission, { territoryPath: [] })).allowed)
  if (!seen) return yield* new NotFound({ what: "app", id })
  return row
})

/** Own apps; everybody's for whoever has `app.read`. Newest first. Index `oauth_client_owner`, or the primary key. */
export const listApps = Effect.fnUntraced(function* (page: {
  readonly cursor: string | null
  readonly limit: number
  readonly status: string | null
}) {
  const actorId = yield* signedIn
  const { sql, tenantId } = yield* TenantTx
  const all = (yield* may("app.read", { territoryPath: [] })).allowed
  const whose = all ? sql`true` : sql`owner_id = ${actorId}`
  return yield* sql<ClientRow>`
    select ${sql.literal(columns)} from mahalla.oauth_client
    where tenant_id = ${tenantId} and ${whose} and (${page.cursor}::uuid is null or id < ${page.cursor}::uuid)
      and (${page.status}::text is null or status = ${page.status})
    order by id desc limit ${page.limit}`
})

/** Lets an app act, or stops it: its tokens are of no worth from the next request on. */
export const decideApp = Effect.fn("oauth.decideApp")(function* (id: string, status: "active" | "blocked") {
  yield* demandEverywhere("app.approve")
  const actor = yield* Actor
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<ClientRow>`
    update mahalla.oauth_client set status = ${status} where tenant_id = ${tenantId} and id = ${id} returning ${sql.literal(columns)}`
  if (row === undefined) return yield* new NotFound({ what: "app", id })
  yield* sql`
    update mahalla.principal set status = ${status === "active" ? "active" : "blocked"} where tenant_id = ${tenantId} and id = ${id}`
  yield* appendEvent(AppDecided, { appId: id, status }, { actorId: actor.id })
  return row
})

/** A new secret beside the old one. */
export const rotateSecret = Effect.fn("oauth.rotateSecret")(function* (id: string) {
  const actor = yield* Actor
  const row = yield* appOfActor(id, "app.write")
  if (row.auth !== "client_secret_basic")
    return yield* new Refused({
      code: "no-secret",
      message: `This app shows who it is by ${row.auth}; it has no secret.`
    })
  // Its secret is all that the app may do: whoever takes one of somebody else's must have that themselves, and for good.
  if (row.ownerId !== actor.id) yield* demandAllOf(permissionsOf(row.scopes), [], null)
  const secret = yield* newSecret(id)
  yield* appendEvent(AppSecretRotated, { appId: id, secretId: secret.id }, { actorId: actor.id })
  return secret
})

/** The rows of an app with its secrets, consents and tokens; its principal stays, for what it has done. */
export const removeApp = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`delete from mahalla.oauth_client where tenant_id = ${tenantId} and id = ${id}`
  yield* sql`update mahalla.principal set status = 'erased', name = null, name_sealed = null where tenant_id = ${tenantId} and id = ${id}`
})

/** Deletes an app, as its owner or whoever may. */
export const deleteApp = Effect.fn("oauth.deleteApp")(function* (id: string) {
  const actor = yield* Actor
  yield* appOfActor(id, "app.write")
  yield* removeApp(id)
  yield* appendEvent(AppDeleted, { appId: id }, { actorId: actor.id })
})
