/** What stands behind the doors to roles and delegations. */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { versionAsked } from "../../kernel/http/asked.ts"
import { answering, inTenant } from "../../kernel/http/Door.ts"
import { once } from "../../kernel/http/once.ts"
import { delegateRole, listDelegations, revokeDelegation } from "../../kernel/policy/delegate.ts"
import { changeRole, createRole, getRole, listRoles, removeRole, type StoredRole } from "../../kernel/policy/manage.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { RoleBook } from "../../kernel/policy/roles.ts"
import { RolesApi } from "./rolesApi.ts"

const roleAnswer = (role: StoredRole, status = 200, headers: Readonly<Record<string, string>> = {}) =>
  HttpServerResponse.jsonUnsafe(role, { status, headers: { ...headers, etag: `"${role.version}"` } }) as never

export const rolesHandlers = HttpApiBuilder.group(RolesApi, "roles", (handlers) =>
  handlers
    .handle("roles", () => inTenant(Effect.map(listRoles, (items) => ({ items }))))
    .handle("permissions", () =>
      answering(
        Effect.andThen(
          demandEverywhere("role.read"),
          Effect.map(RoleBook, ({ permissions }) => ({ items: permissions }))
        )
      )
    )
    .handle("createRole", ({ payload }) =>
      inTenant(
        Effect.map(
          once(
            "roles",
            payload,
            Effect.map(createRole(payload), (body) => ({ status: 201, body }))
          ),
          ({ body, headers, status }) => roleAnswer(body, status, { ...headers, location: `/v1/roles/${body.id}` })
        )
      )
    )
    .handle("getRole", ({ params }) => inTenant(Effect.map(getRole(params.role), (role) => roleAnswer(role))))
    .handle("changeRole", ({ params, payload, request }) =>
      inTenant(
        Effect.gen(function* () {
          const ifVersion = yield* versionAsked(request)
          return roleAnswer(yield* changeRole(params.role, { ...payload, ifVersion }))
        })
      )
    )
    .handle("removeRole", ({ params, request }) =>
      inTenant(Effect.flatMap(versionAsked(request), (ifVersion) => removeRole(params.role, ifVersion)))
    )
)

export const delegationsHandlers = HttpApiBuilder.group(RolesApi, "delegations", (handlers) =>
  handlers
    .handle("delegations", ({ query: { active, giver, receiver, ...page } }) =>
      inTenant(listDelegations({ giver, receiver, active: active === "true" }, page))
    )
    .handle("delegate", ({ payload }) =>
      inTenant(
        Effect.map(
          once(
            "delegations",
            payload,
            Effect.map(delegateRole(payload), (body) => ({ status: 201, body }))
          ),
          ({ body }) => body
        )
      )
    )
    .handle("revokeDelegation", ({ params }) => inTenant(revokeDelegation(params.id)))
)
