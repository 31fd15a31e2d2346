/** Under which address a tenant's provider is known. */
import * as Effect from "effect/Effect"
import { Deployment, type DeploymentFacts } from "../../kernel/Deployment.ts"
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

const isLoopback = (host: string) => /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/.test(host)

/**
 * A tenant with host names of its own has its issuer there; any other below the deployment's address. `host`: the `Host` header, looked at
 * only in `dev` without a public address, and only where it is this machine.
 */
export const addressesFor = (
  deployment: DeploymentFacts,
  tenant: Pick<Tenant, "slug" | "hosts">,
  host: string
): Addresses | undefined => {
  const given =
    deployment.publicUrl ?? (deployment.mode === "dev" && isLoopback(host) ? `http://${host.toLowerCase()}` : undefined)
  if (given === undefined) return undefined
  const url = new URL(given)
  const own = deployment.publicUrl === undefined ? undefined : tenant.hosts[0]
  if (own !== undefined) url.hostname = own
  const base = url.href.replace(/\/$/, "")
  const issuer = own === undefined ? `${base}/t/${tenant.slug}/oauth` : `${base}/oauth`
  return { issuer, mountPath: new URL(issuer).pathname, resource: `${base}/t/${tenant.slug}/v1`, base }
}

export const addressesOf = (tenant: Pick<Tenant, "slug" | "hosts">, host: string) =>
  Effect.map(Deployment, (deployment) => addressesFor(deployment, tenant, host))
