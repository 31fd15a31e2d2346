/** Under which address a tenant's provider is known. */
import * as Effect from "effect/Effect"
import { Deployment, type DeploymentFacts } from "../../kernel/Deployment.ts"
import { tenantAddress } from "../../kernel/tenancy/address.ts"
import type { Tenant } from "../../kernel/tenancy/Tenant.ts"

export interface Addresses {
  /** `iss`, without a slash at the end. */
  readonly issuer: string
  /** What stands before the library's own paths in the addresses that clients see. */
  readonly mountPath: string
  /** The API as a resource (RFC 8707), and the audience of tokens for it. Never the first-party audience. */
  readonly resource: string
  /** The deployment's address for this tenant, without `/t/{slug}`. */
  readonly base: string
}

/** `host`: see `tenantAddress`. */
export const addressesFor = (
  deployment: DeploymentFacts,
  tenant: Pick<Tenant, "slug" | "hosts">,
  host: string
): Addresses | undefined => {
  const found = tenantAddress(deployment, tenant, host)
  if (found === undefined) return undefined
  const { base, site } = found
  const issuer = `${site}/oauth`
  return { issuer, mountPath: new URL(issuer).pathname, resource: `${base}/t/${tenant.slug}/v1`, base }
}

export const addressesOf = (tenant: Pick<Tenant, "slug" | "hosts">, host: string) =>
  Effect.map(Deployment, (deployment) => addressesFor(deployment, tenant, host))
