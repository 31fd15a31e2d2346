/** Doors to the city's own roles, and to what members of staff hand to each other. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { Door } from "../../kernel/http/Door.ts"
import { takesIdempotencyKey } from "../../kernel/http/once.ts"
import { Id } from "../../kernel/ids.ts"
import { GivenMoment, IdPageQuery, IdParam, page, Timestamp } from "../../kernel/http/schemas.ts"

const RoleId = Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9-]{0,59}$/))
const Title = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200))
const Permissions = Schema.Array(Schema.String.check(Schema.isMaxLength(200))).check(Schema.isMaxLength(500))

const RoleView = Schema.Struct({
  id: Schema.String,
  title: Schema.String,
  /** `thing.verb`; `thing.*`, `*.verb` for every case type, `*.*`; with `:own`, for what one made oneself. */
  permissions: Schema.Array(Schema.String),
  /** 0 while it is as the deployment has it. */
  version: Schema.Int,
  preset: Schema.Boolean
}).annotate({ identifier: "Role" })

export const DelegationView = Schema.Struct({
  id: Id,
  giverId: Id,
  principalId: Id,
  role: Schema.String,
  permissions: Schema.NullOr(Schema.Array(Schema.String)),
  territoryId: Schema.NullOr(Id),
  givenAt: Timestamp,
  until: Timestamp,
  state: Schema.Literals(["active", "ended", "revoked", "role-lost"])
}).annotate({ identifier: "Delegation" })

const RoleParam = Schema.Struct({ role: Schema.String.check(Schema.isMaxLength(100)) })

export const RolesApi = cityApi("roles")
  .add(
    HttpApiGroup.make("roles")
      .add(
        HttpApiEndpoint.get("roles", "/roles", { success: Schema.Struct({ items: Schema.Array(RoleView) }) }),
        HttpApiEndpoint.get("permissions", "/permissions", {
          success: Schema.Struct({ items: Schema.Array(Schema.String) })
        }),
        HttpApiEndpoint.post("createRole", "/roles", {
          payload: Schema.Struct({ id: RoleId, title: Title, permissions: Permissions }),
          success: RoleView.pipe(HttpApiSchema.status(201))
        }).annotate(OpenApi.Transform, takesIdempotencyKey),
        HttpApiEndpoint.get("getRole", "/roles/:role", { params: RoleParam, success: RoleView }),
        HttpApiEndpoint.patch("changeRole", "/roles/:role", {
          params: RoleParam,
          payload: Schema.Struct({ title: Schema.optionalKey(Title), permissions: Schema.optionalKey(Permissions) }),
          success: RoleView
        }),
        HttpApiEndpoint.delete("removeRole", "/roles/:role", { params: RoleParam, success: HttpApiSchema.NoContent })
      )
      .middleware(Door)
  )
  .add(
    HttpApiGroup.make("delegations")
      .add(
        HttpApiEndpoint.get("delegations", "/delegations", {
          query: {
            ...IdPageQuery,
            giver: Schema.optionalKey(Id),
            receiver: Schema.optionalKey(Id),
            active: Schema.optionalKey(Schema.Literals(["true", "false"]))
          },
          success: page(DelegationView)
        }),
        HttpApiEndpoint.post("delegate", "/delegations", {
          payload: Schema.Struct({
            principalId: Id,
            role: Schema.String.check(Schema.isMaxLength(100)),
            permissions: Schema.optionalKey(Schema.NullOr(Permissions.check(Schema.isMinLength(1)))),
            territoryId: Schema.optionalKey(Schema.NullOr(Id)),
            until: GivenMoment
          }),
          success: DelegationView.pipe(HttpApiSchema.status(201))
        }).annotate(OpenApi.Transform, takesIdempotencyKey),
        HttpApiEndpoint.delete("revokeDelegation", "/delegations/:id", {
          params: IdParam,
          success: HttpApiSchema.NoContent
        })
      )
      .middleware(Door)
  )
  .prefix("/v1")
