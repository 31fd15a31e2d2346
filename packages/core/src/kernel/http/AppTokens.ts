/**
 * Access tokens of third parties' apps: the door between authentication and whatever issues such tokens. A city without such a module has
 * none, and takes first-party tokens only.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { TenantTx } from "../db/Database.ts"
import type { Permission } from "../policy/decide.ts"
import type { Forbidden } from "../policy/Policy.ts"
import type { Tenant } from "../tenancy/Tenant.ts"
import type { Unauthorized } from "./Authentication.ts"

export interface AppRequest {
  readonly scheme: "bearer" | "dpop"
  readonly token: string
  readonly tenant: Tenant
  readonly method: string
  /** Path and query as the router sees them. */
  readonly url: string
  /** The `DPoP` header (RFC 9449), if there is one. */
  readonly proof: string | undefined
  /** The `Host` header. */
  readonly host: string
}

export interface AppAccess {
  /** The citizen, or the app itself. */
  readonly principalId: string
  /** What the scopes amount to: the principal's rights count only as far as they are in here. */
  readonly within: ReadonlyArray<Permission>
  /** Whether app and consent are still in force; asked beside reading the principal. */
  readonly inForce: Effect.Effect<boolean, unknown>
}

export interface AppConsent {
  readonly appId: string
  readonly principalId: string
  /** As in `AppAccess`. */
  readonly within: ReadonlyArray<Permission>
}

export class AppTokens extends Context.Reference<
  | {
      /** By its form alone, before anything is verified. */
      readonly looksLikeOne: (token: string) => boolean
      /** Verifies token and proof of possession; `Forbidden` when its scopes do not open this address. */
      readonly verify: (request: AppRequest) => Effect.Effect<AppAccess, Unauthorized | Forbidden>
      /** What people have let apps do in their name, of these: consents in force. */
      readonly consents: (
        apps: ReadonlyArray<string>,
        people: ReadonlyArray<string>
      ) => Effect.Effect<ReadonlyArray<AppConsent>, SqlError, TenantTx>
      /** Who registered an app; null where nobody did. */
      readonly ownerOf: (appId: string) => Effect.Effect<string | null, SqlError, TenantTx>
    }
  | undefined
>("@mahalla/kernel/AppTokens", { defaultValue: () => undefined }) {}
