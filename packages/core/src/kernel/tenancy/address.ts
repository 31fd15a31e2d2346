/** Under which addresses the world reaches a tenant. */
import type { DeploymentFacts } from "../Deployment.ts"
import type { Tenant } from "./Tenant.ts"

export interface TenantAddress {
  /** The deployment's address for this tenant, without `/t/{slug}` and without a slash at the end. */
  readonly base: string
  /** Where the tenant's own addresses begin: a host of its own, else `/t/{slug}` below the deployment's. */
  readonly site: string
}

const isLoopback = (host: string) => /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/.test(host)

/**
 * A tenant with host names of its own is at the first of them; any other below the deployment's address. `host`: the `Host` header, looked at
 * only in `dev` without a public address, and only where it is this machine.
 */
export const tenantAddress = (
  deployment: DeploymentFacts,
  tenant: Pick<Tenant, "slug" | "hosts">,
  host: string
): TenantAddress | undefined => {
  const given =
    deployment.publicUrl ?? (deployment.mode === "dev" && isLoopback(host) ? `http://${host.toLowerCase()}` : undefined)
  if (given === undefined) return undefined
  const url = new URL(given)
  const own = deployment.publicUrl === undefined ? undefined : tenant.hosts[0]
  if (own !== undefined) url.hostname = own
  const base = url.href.replace(/\/$/, "")
  return { base, site: own === undefined ? `${base}/t/${tenant.slug}` : base }
}
