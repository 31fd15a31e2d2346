/** Filings as the city holds them, and what happens to them. Amounts are `bigint` minor units; in events text. */
import * as Schema from "effect/Schema"
import { defineEvent } from "../../kernel/events/Event.ts"
import type { Filing } from "../../ports/Authority.ts"

export type FilingState = "queued" | "submitting" | "unknown" | "filed" | "in-review" | "decided" | "refused"
export type Verdict = "fined" | "dismissed"

export const filingStates: ReadonlyArray<FilingState> = [
  "queued",
  "submitting",
  "unknown",
  "filed",
  "in-review",
  "decided",
  "refused"
]

/**
 * Where a filing may go; the database keeps to it too. `unknown` ends by the authority's word about this number or by a person, never by
 * itself. `submitting` goes back to `queued` only when the authority surely did nothing.
 */
export const nextStates: Readonly<Record<FilingState, ReadonlyArray<FilingState>>> = {
  queued: ["submitting", "decided"],
  submitting: ["queued", "filed", "refused", "unknown"],
  unknown: ["submitting", "filed", "in-review", "decided", "refused"],
  filed: ["in-review", "decided", "refused", "unknown"],
  "in-review": ["filed", "decided", "refused", "unknown"],
  decided: [],
  refused: ["decided"]
}

/** What is filed, but for the number and for where the evidence is fetched from: it stays as it was decided. */
export interface FilingBody extends Omit<Filing, "number" | "kind" | "evidence"> {
  readonly evidence: ReadonlyArray<{
    readonly attachmentId: string
    /** Hex. */
    readonly sha256: string
    readonly mediaType: string
    /** Bytes. */
    readonly size: number
  }>
}

export interface FilingRow {
  /** Our number. */
  readonly id: string
  readonly caseId: string
  readonly kind: string
  /** Counts up each time a refused one is filed again under a new number. */
  readonly attempt: number
  /** Instance of the authority. */
  readonly authority: string
  readonly evidenceVersion: number
  readonly state: FilingState
  readonly verdict: Verdict | null
  readonly fine: bigint | null
  readonly currency: string | null
  /** The authority's own number. */
  readonly reference: string | null
  readonly decidedAt: Date | null
  /** Decided by a person of the city, as from a letter. */
  readonly byHand: boolean
  /** For staff: why it stands as it does. */
  readonly detail: string | null
  readonly tries: number
  /** When something is to be done with it. */
  readonly nextAt: Date | null
  readonly createdAt: Date
  readonly changedAt: Date
}

const facts = { filingId: Schema.String, kind: Schema.String, authority: Schema.String, attempt: Schema.Finite }

export const FilingQueued = defineEvent({ id: "filings.queued", payload: Schema.Struct(facts) })
export const FilingFiled = defineEvent({
  id: "filings.filed",
  payload: Schema.Struct({ ...facts, reference: Schema.NullOr(Schema.String) })
})
export const FilingUnknown = defineEvent({
  id: "filings.unknown",
  payload: Schema.Struct({ ...facts, detail: Schema.String })
})
/** `reversed`: it had been decided otherwise. `byHand`: by a person of the city, for the reason given. */
export const FilingDecided = defineEvent({
  id: "filings.decided",
  payload: Schema.Struct({
    ...facts,
    verdict: Schema.Literals(["fined", "dismissed"]),
    fine: Schema.NullOr(Schema.String),
    currency: Schema.NullOr(Schema.String),
    reference: Schema.NullOr(Schema.String),
    reversed: Schema.Boolean,
    byHand: Schema.Boolean,
    reason: Schema.optionalKey(Schema.String)
  })
})
/** The authority does not take it; staff files it again or settles it by hand. */
export const FilingRefused = defineEvent({
  id: "filings.refused",
  payload: Schema.Struct({ ...facts, code: Schema.String })
})
/** Whoever has an address of the evidence has looked at a file, once for each look. */
export const EvidenceOpened = defineEvent({
  id: "filings.evidence-opened",
  payload: Schema.Struct({ filingId: Schema.String, attachmentId: Schema.String })
})
export const EvidenceRevoked = defineEvent({ id: "filings.evidence-revoked", payload: Schema.Struct(facts) })
