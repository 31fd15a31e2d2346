/** Doors for developers of apps, for staff that lets apps in, and for citizens who take their consent back. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import { NotFound } from "../../kernel/cases/model.ts"
import { Unauthorized } from "../../kernel/http/Authentication.ts"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { Door, inTenant, RequestInfo } from "../../kernel/http/Door.ts"
import { once, takesIdempotencyKey } from "../../kernel/http/once.ts"
import { Id } from "../../kernel/ids.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { type ClientRow, secretText } from "./clients.ts"
import { listErrors } from "./errors.ts"
import { consentedApps, revokeApp } from "./grants.ts"
import { addressesOf } from "./issuer.ts"
import { limits } from "./model.ts"
import { appOfActor, decideApp, deleteApp, listApps, registerApp, rotateSecret } from "./register.ts"

const Name = Schema.String.check(Schema.isMinLength(2), Schema.isMaxLength(60), Schema.isPattern(/^[^\p{C}<>]+$/u))
const Address = Schema.String.check(Schema.isMaxLength(1000))
const Auth = Schema.Literals(["none", "client_secret_basic", "private_key_jwt"])
const GrantTypes = Schema.Array(Schema.Literals(["authorization_code", "refresh_token", "client_credentials"])).check(
  Schema.isMinLength(1),
  Schema.isUnique()
)
const Status = Schema.Literals(["pending", "active", "blocked"])
const Jwks = Schema.Struct({
  keys: Schema.Array(Schema.Record(Schema.String, Schema.Json)).check(Schema.isMinLength(1), Schema.isMaxLength(5))
})

const App = Schema.Struct({
  /** Its `client_id`. */
  id: Id,
  name: Schema.String,
  homepage: Schema.NullOr(Schema.String),
  auth: Auth,
  redirectUris: Schema.Array(Schema.String),
  grantTypes: Schema.Array(Schema.String),
  scopes: Schema.Array(Schema.String),
  jwksUri: Schema.NullOr(Schema.String),
  status: Status,
  createdAt: Schema.String,
  /** Where its requests go; discovery stands below it. Null where the city has no public address. */
  issuer: Schema.NullOr(Schema.String),
  /** What to ask for as `resource`. */
  resource: Schema.NullOr(Schema.String)
}).annotate({ identifier: "App" })

const RegisteredApp = Schema.Struct({
  ...App.fields,
  /** Shown here and never again; null where the app has none. */
  clientSecret: Schema.NullOr(Schema.String)
}).annotate({ identifier: "RegisteredApp" })

const Secret = Schema.Struct({
  clientSecret: Schema.String,
  /** Until then the earlier secrets count too. */
  othersEndAt: Schema.String
}).annotate({ identifier: "AppSecret" })

const page = <Item extends Schema.Top>(item: Item) =>
  Schema.Struct({ items: Schema.Array(item), cursor: Schema.optionalKey(Id) })
const PageQuery = {
  cursor: Schema.optionalKey(Id),
  limit: Schema.optionalKey(
    Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 200 }))
  )
}
const params = { id: Id }

export const AppsApi = cityApi("apps")
  .add(
    HttpApiGroup.make("apps")
      .add(
        HttpApiEndpoint.post("registerApp", "/apps", {
          payload: Schema.Struct({
            name: Name,
            homepage: Schema.optionalKey(Address),
            auth: Auth,
            redirectUris: Schema.Array(Address).check(Schema.isMaxLength(limits.redirectUris)),
            grantTypes: GrantTypes,
            scopes: Schema.Array(Schema.String).check(Schema.isMinLength(1), Schema.isMaxLength(20), Schema.isUnique()),
            jwks: Schema.optionalKey(Jwks),
            jwksUri: Schema.optionalKey(Address)
          }),
          success: RegisteredApp.pipe(HttpApiSchema.status(201))
        }).annotate(OpenApi.Transform, takesIdempotencyKey)
      )
      .add(
        HttpApiEndpoint.get("listApps", "/apps", {
          query: { ...PageQuery, status: Schema.optionalKey(Status) },
          success: page(App)
        })
      )
      .add(HttpApiEndpoint.get("getApp", "/apps/:id", { params, success: App }))
      .add(HttpApiEndpoint.delete("deleteApp", "/apps/:id", { params, success: HttpApiSchema.NoContent }))
      .add(
        HttpApiEndpoint.post("rotateAppSecret", "/apps/:id/secrets", {
          params,
          success: Secret.pipe(HttpApiSchema.status(201))
        }).annotate(OpenApi.Transform, takesIdempotencyKey)
      )
      .add(
        HttpApiEndpoint.put("decideApp", "/apps/:id/status", {
          params,
          payload: Schema.Struct({ status: Schema.Literals(["active", "blocked"]) }),
          success: App
        })
      )
      .add(
        HttpApiEndpoint.get("appErrors", "/apps/:id/errors", {
          params,
          query: PageQuery,
          success: page(
            Schema.Struct({
              id: Id,
              at: Schema.String,
              endpoint: Schema.String,
              error: Schema.String,
              detail: Schema.String
            }).annotate({ identifier: "AppError" })
          )
        })
      )
      .add(
        HttpApiEndpoint.get("myApps", "/me/apps", {
          success: Schema.Struct({
            items: Schema.Array(
              Schema.Struct({
                id: Id,
                name: Schema.String,
                homepage: Schema.NullOr(Schema.String),
                scopes: Schema.Array(Schema.String),
                since: Schema.String,
                until: Schema.String
              }).annotate({ identifier: "ConsentedApp" })
            )
          })
        })
      )
      .add(HttpApiEndpoint.delete("revokeMyApp", "/me/apps/:id", { params, success: HttpApiSchema.NoContent }))
      .middleware(Door)
  )
  .prefix("/v1")

const viewOf = Effect.fnUntraced(function* (row: ClientRow) {
  const { tenant } = yield* RequestInfo
  const request = yield* HttpServerRequest.HttpServerRequest
  const addresses = yield* addressesOf(tenant, request.headers["host"] ?? "")
  return {
    id: row.id,
    name: row.name,
    homepage: row.homepage,
    auth: row.auth,
    redirectUris: row.redirectUris,
    grantTypes: row.grantTypes,
    scopes: row.scopes,
    jwksUri: row.jwksUri,
    status: row.status,
    createdAt: row.createdAt.toISOString(),
    issuer: addresses?.issuer ?? null,
    resource: addresses?.resource ?? null
  }
})

const pageOf = <Row extends { readonly id: string }, Item>(
  rows: ReadonlyArray<Row>,
  items: ReadonlyArray<Item>,
  limit: number
) => ({ items, ...(rows.length === limit ? { cursor: rows.at(-1)!.id } : {}) })

const citizen = Effect.flatMap(Actor, (actor) =>
  actor.id === null || actor.within !== undefined
    ? Effect.fail(new Unauthorized({ message: "Sign in to see your apps." }))
    : Effect.succeed(actor.id)
)

const handlers = HttpApiBuilder.group(AppsApi, "apps", (group) =>
  group
    .handle("registerApp", ({ payload }) =>
      inTenant(
        Effect.gen(function* () {
          // What is kept for repeated requests names the secret; the text itself stands nowhere.
          const { body } = yield* once(
            "apps",
            payload,
            Effect.gen(function* () {
              const { row, secretId } = yield* registerApp(payload)
              return { status: 201, body: { ...(yield* viewOf(row)), secretId } }
            })
          )
          const { secretId, ...app } = body
          return { ...app, clientSecret: secretId === null ? null : yield* secretText(app.id, secretId) }
        })
      )
    )
    .handle("listApps", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          const limit = query.limit ?? 50
          const rows = yield* listApps({ cursor: query.cursor ?? null, limit, status: query.status ?? null })
          return pageOf(rows, yield* Effect.forEach(rows, viewOf), limit)
        })
      )
    )
    .handle("getApp", ({ params: { id } }) => inTenant(Effect.flatMap(appOfActor(id), viewOf)))
    .handle("deleteApp", ({ params: { id } }) => inTenant(deleteApp(id)))
    .handle("rotateAppSecret", ({ params: { id } }) =>
      inTenant(
        Effect.gen(function* () {
          const { body } = yield* once(
            `apps/${id}/secrets`,
            null,
            Effect.map(rotateSecret(id), (secret) => ({
              status: 201,
              body: { secretId: secret.id, othersEndAt: secret.othersEndAt.toISOString() }
            }))
          )
          return { clientSecret: yield* secretText(id, body.secretId), othersEndAt: body.othersEndAt }
        })
      )
    )
    .handle("decideApp", ({ params: { id }, payload }) =>
      inTenant(Effect.flatMap(decideApp(id, payload.status), viewOf))
    )
    .handle("appErrors", ({ params: { id }, query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* appOfActor(id)
          const limit = query.limit ?? 50
          const rows = yield* listErrors(id, { cursor: query.cursor ?? null, limit })
          const items = rows.map((row) => ({ ...row, at: row.at.toISOString() }))
          return pageOf(rows, items, limit)
        })
      )
    )
    .handle("myApps", () =>
      inTenant(
        Effect.gen(function* () {
          const rows = yield* consentedApps(yield* citizen)
          return {
            items: rows.map((row) => ({ ...row, since: row.since.toISOString(), until: row.until.toISOString() }))
          }
        })
      )
    )
    .handle("revokeMyApp", ({ params: { id } }) =>
      inTenant(
        Effect.gen(function* () {
          if ((yield* revokeApp(yield* citizen, id)) === 0) return yield* new NotFound({ what: "app", id })
        })
      )
    )
)

export const appsApiLayer = HttpApiBuilder.layer(AppsApi).pipe(Layer.provide(handlers))
