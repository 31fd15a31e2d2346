/**
 * Addresses under which an authority fetches the evidence of one filing, without an account: signed, good for a while, and good for
 * nothing any more when the filing was refused or somebody has revoked them. Every blob store can give them, and each look is written down.
 */
import { timingSafeEqual } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { Attachments } from "../../kernel/attachments/Attachments.ts"
import { duplicatesOf } from "../../kernel/cases/links.ts"
import { NotFound } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { Deployment } from "../../kernel/Deployment.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { problem, registerProblems } from "../../kernel/http/problems.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import { tenantAddress } from "../../kernel/tenancy/address.ts"
import { tenantById } from "../../kernel/tenancy/resolve.ts"
import type { Evidence } from "../../ports/Authority.ts"
import { EvidenceOpened, EvidenceRevoked, type FilingBody, type FilingRow } from "./model.ts"
import { factsOf } from "./book.ts"
import { loadFiling } from "./sql.ts"

/** Milliseconds that an address is good for: longer than reviews usually take; the next call brings new ones. */
const goodFor = 30 * 86_400_000
/** Files of one filing; the port takes no more. */
const mostFiles = 20
/** A player asks for a film in many parts: that is one look. Milliseconds. */
const oneLook = 600_000

/** The address was right once. */
export class EvidenceGone extends Data.TaggedError("EvidenceGone")<{ readonly message: string }> {}

registerProblems({ EvidenceGone: (error) => problem(410, "gone", error.message) })

/** The originals of a case and of what was merged into it, oldest first. */
export const evidenceOf = Effect.fnUntraced(function* (caseId: string) {
  const attachments = yield* Attachments
  const cases = [caseId, ...(yield* duplicatesOf(caseId))]
  const files = (yield* Effect.forEach(cases, (id) => attachments.forCase(id))).flat()
  return files
    .filter(({ role }) => role === "original")
    .slice(0, mostFiles)
    .map(({ id, mediaType, sha256, size }) => ({
      attachmentId: id,
      sha256: sha256!,
      mediaType: mediaType ?? "application/octet-stream",
      size
    }))
})

interface Link {
  readonly filingId: string
  readonly attachmentId: string
  /** Epoch seconds. */
  readonly expires: number
}

const signatureOf = Effect.fnUntraced(function* (link: Link, version: number) {
  const { tenantId } = yield* TenantTx
  const { mac } = yield* Keys
  const text = JSON.stringify([tenantId, link.filingId, version, link.attachmentId, link.expires])
  return Buffer.from(mac("filing-evidence", text)).toString("base64url")
})

/** The evidence of a filing with addresses that are good from now on. */
export const linksOf = Effect.fnUntraced(function* (filing: FilingRow, evidence: FilingBody["evidence"]) {
  const { tenantId } = yield* TenantTx
  const tenant = yield* tenantById(tenantId)
  const address = tenantAddress(yield* Deployment, tenant!, "localhost")
  if (address === undefined) return yield* Effect.die(new Error("No address of the city is known; set publicUrl."))
  const expires = Math.floor(((yield* Clock.currentTimeMillis) + goodFor) / 1_000)
  return yield* Effect.forEach(
    evidence,
    Effect.fnUntraced(function* ({ attachmentId, ...file }) {
      const signature = yield* signatureOf({ filingId: filing.id, attachmentId, expires }, filing.evidenceVersion)
      const path = `/v1/filings/${filing.id}/evidence/${attachmentId}?expires=${expires}&signature=${signature}`
      return { ...file, url: `${address.site}${path}`, expiresAt: expires * 1_000 } satisfies Evidence
    })
  )
})

const same = (one: string, other: string) => {
  const [left, right] = [Buffer.from(one), Buffer.from(other)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/** Admits whoever has a good address of a file, and writes the look down. A wrong one says nothing of what there is. */
export const openEvidence = Effect.fn("filings.openEvidence")(function* (link: Link & { readonly signature: string }) {
  const { sql, tenantId } = yield* TenantTx
  const missing = new NotFound({ what: "evidence", id: link.attachmentId })
  const filing = yield* loadFiling(link.filingId)
  if (filing === undefined) return yield* missing
  const now = yield* Clock.currentTimeMillis
  if (!same(link.signature, yield* signatureOf(link, filing.evidenceVersion))) return yield* missing
  if (link.expires * 1_000 <= now || filing.state === "refused")
    return yield* new EvidenceGone({
      message: "This address has had its time. Ask the city; it gives a new one with the filing's number."
    })
  const [known] = yield* sql`
    select from mahalla.event
    where tenant_id = ${tenantId} and case_id = ${filing.caseId} and type = ${EvidenceOpened.id}
      and payload ->> 'attachmentId' = ${link.attachmentId} and occurred_at > ${new Date(now - oneLook)} limit 1`
  if (known === undefined)
    yield* appendEvent(
      EvidenceOpened,
      { filingId: filing.id, attachmentId: link.attachmentId },
      { caseId: filing.caseId }
    )
})

/** All addresses that were given out for a locked filing give nothing any more. */
export const revokeEvidence = Effect.fn("filings.revokeEvidence")(function* (
  filing: FilingRow,
  actorId: string | null
) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    update mahalla.filing set evidence_version = evidence_version + 1 where tenant_id = ${tenantId} and id = ${filing.id}`
  yield* appendEvent(EvidenceRevoked, factsOf(filing), { caseId: filing.caseId, actorId })
})
