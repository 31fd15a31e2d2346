/** Who asks, from a request: the door between HTTP and whatever knows people (the identity module, or a host application's own login). */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { Principal } from "../policy/Principal.ts"
import type { Tenant } from "../tenancy/Tenant.ts"

/** The credentials are missing, expired or of no worth; the same text for all of these. */
export class Unauthorized extends Data.TaggedError("Unauthorized")<{ readonly message: string }> {}

export interface Authenticated {
  readonly actor: Principal
  readonly tenant: Tenant
}

export class Authentication extends Context.Service<
  Authentication,
  {
    /** Anonymous when the request carries no credentials; fails when it carries bad ones. */
    readonly actorOf: (
      request: HttpServerRequest,
      facts: { readonly id: string; readonly ip: string }
    ) => Effect.Effect<Authenticated, unknown>
  }
>()("@mahalla/kernel/Authentication") {}
