/** One-time sign-in links for staff. */
import { type City, issueLink, resetFactors } from "@mahalla/core"
import { CommandError } from "./failure.ts"

export interface StaffLink {
  readonly name: string
  readonly token: string
}

/** A link for the first staff member who holds the role in the whole tenant. `reset` takes their second factor away first. */
export const linkFor = async (city: City, tenant: string, role: string, reset = false): Promise<StaffLink> => {
  const found = await city.admin.staffWithRole(tenant, role)
  const first = found[0]
  if (first === undefined) {
    throw new CommandError({
      message: `Nobody in ${tenant} has the role ${role}. Make somebody with: mahalla admin-link --create "Full Name".`
    })
  }
  if (reset) await city.admin.run(tenant, resetFactors(first.id, null))
  return { name: first.name ?? first.id, token: await city.admin.run(tenant, issueLink(first.id)) }
}

/** Where the link is used; names the tenant, for a deployment may have several. */
export const signInAddress = (base: string, tenant: string, link: StaffLink): string =>
  `${base}/t/${tenant}/sign-in#${link.token}`

/** The tenant's slug: the one named, or the only one. */
export const pickTenant = async (city: City, named: string | undefined): Promise<string> => {
  const all = await city.admin.tenants.list()
  if (named !== undefined) return named
  if (all.length === 1) return all[0]!.slug
  throw new CommandError({
    message:
      all.length === 0
        ? "The city has no tenant yet."
        : `Which tenant? Name one with --tenant: ${all.map((one) => one.slug).join(", ")}.`
  })
}
