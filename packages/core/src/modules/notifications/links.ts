/** Links that need no sign-in: out of a category of messages, and the proof that a mailbox is one's own. Each names what it does and is sealed with a code of authentication. */
import { timingSafeEqual } from "node:crypto"
import * as Effect from "effect/Effect"
import { Deployment } from "../../kernel/Deployment.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import { tenantAddress } from "../../kernel/tenancy/address.ts"
import type { Tenant } from "../../kernel/tenancy/Tenant.ts"

export type LinkMeaning =
  | { readonly kind: "unsubscribe"; readonly personId: string; readonly category: string }
  | { readonly kind: "confirm-email"; readonly addressId: string }

const purpose = "notification-link"

const textOf = (meaning: LinkMeaning): string =>
  meaning.kind === "unsubscribe" ? `u.${meaning.personId}.${meaning.category}` : `e.${meaning.addressId}`

const codeOf = (tenantId: string, text: string) =>
  Effect.map(Keys, ({ mac }) =>
    Buffer.from(mac(purpose, `${tenantId}.${text}`))
      .subarray(0, 18)
      .toString("base64url")
  )

/** Text of `[A-Za-z0-9._-]` that means this in one tenant, for ever. */
export const linkToken = Effect.fnUntraced(function* (tenantId: string, meaning: LinkMeaning) {
  const text = textOf(meaning)
  return `${text}.${yield* codeOf(tenantId, text)}`
})

/** What a token means in a tenant; undefined for one that we did not make. */
export const meaningOf = Effect.fnUntraced(function* (tenantId: string, token: string) {
  const cut = token.lastIndexOf(".")
  const text = token.slice(0, Math.max(cut, 0))
  // As text: there are several spellings of the same bytes.
  const [given, expected] = [Buffer.from(token.slice(cut + 1)), Buffer.from(yield* codeOf(tenantId, text))]
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
  const [kind, id = "", category = ""] = text.split(".")
  return kind === "u"
    ? ({ kind: "unsubscribe", personId: id, category } satisfies LinkMeaning)
    : ({ kind: "confirm-email", addressId: id } satisfies LinkMeaning)
})

/** The whole address of a link; undefined where nobody has said where the world sees the city. */
export const linkTo = Effect.fnUntraced(function* (
  tenant: Pick<Tenant, "tenantId" | "slug" | "hosts">,
  meaning: LinkMeaning
) {
  const site = tenantAddress(yield* Deployment, tenant, "")?.site
  return site === undefined ? undefined : `${site}/v1/notification-links/${yield* linkToken(tenant.tenantId, meaning)}`
})

/** Out of one category, with one click. */
export const unsubscribeLink = (
  tenant: Pick<Tenant, "tenantId" | "slug" | "hosts">,
  personId: string,
  category: string
) => linkTo(tenant, { kind: "unsubscribe", personId, category })
