/** Attachments as the engine holds them, what happens to them, and what can go wrong. */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { BlobStoreError } from "../../ports/BlobStore.ts"
import { defineEvent } from "../events/Event.ts"
import type { ProblemAnswer } from "../http/problems.ts"

export type AttachmentState = "uploading" | "stored" | "rejected" | "deleted"

export interface Attachment {
  readonly id: string
  /** Null until it is attached. */
  readonly caseId: string | null
  /** Null when the sender is anonymous. */
  readonly ownerId: string | null
  /** What a citizen sent, byte for byte, or a copy made of it. */
  readonly role: "original" | "derived"
  readonly derivedFrom: string | null
  /** `video`, `image`, `document` of originals, `standard`, `poster`, `frame` … of copies; null while it is not known. */
  readonly kind: string | null
  readonly name: string | null
  /** What its leading bytes say, not what the sender said. */
  readonly mediaType: string | null
  /** Bytes. */
  readonly size: number
  /** Hex; null until stored. */
  readonly sha256: string | null
  readonly state: AttachmentState
  readonly metadata: Readonly<Record<string, unknown>>
  /** Signed receipt of an original, see `verifyReceipt`. */
  readonly receipt: string | null
  readonly createdAt: Date
  readonly storedAt: Date | null
}

/** A file is complete, checked and safe; originals and copies alike. */
export const AttachmentStored = defineEvent({
  id: "attachment.stored",
  payload: Schema.Struct({
    attachmentId: Schema.String,
    role: Schema.Literals(["original", "derived"]),
    derivedFrom: Schema.NullOr(Schema.String),
    kind: Schema.String,
    mediaType: Schema.String,
    size: Schema.Finite,
    /** Hex. */
    sha256: Schema.String
  })
})

/** A file was complete and must not stay: its type is not allowed, or the scanner found something. */
export const AttachmentRejected = defineEvent({
  id: "attachment.rejected",
  payload: Schema.Struct({
    attachmentId: Schema.String,
    reason: Schema.Literals(["media-type", "infected"]),
    detail: Schema.String
  })
})

/** A stored original was never attached to a case and is gone. */
export const AttachmentExpired = defineEvent({
  id: "attachment.expired",
  payload: Schema.Struct({ attachmentId: Schema.String, sha256: Schema.String })
})

/** Somebody who may has looked at an original, in which nothing is hidden. The event's actor is who. */
export const OriginalOpened = defineEvent({
  id: "attachment.original-opened",
  payload: Schema.Struct({ attachmentId: Schema.String })
})

/** A request about an upload that is answered with a problem. */
export class UploadProblem extends Data.TaggedError("UploadProblem")<{ readonly answer: ProblemAnswer }> {
  override get message() {
    return this.answer.body.detail ?? this.answer.body.title
  }
}

/** The stored bytes are no longer those that were received. */
export class AttachmentDamaged extends Data.TaggedError("AttachmentDamaged")<{
  readonly id: string
  readonly message: string
}> {}

/** No byte of the wanted range exists (RFC 9110, 416). */
export class RangeNotSatisfiable extends Data.TaggedError("RangeNotSatisfiable")<{
  readonly size: number
  readonly message: string
}> {}

export type Verdict = { readonly clean: true } | { readonly clean: false; readonly name: string }

/**
 * Looks at every original before it is stored. None by default. A scanner that fails keeps the upload waiting: nothing unscanned is
 * ever stored.
 */
export const AttachmentScanner = Context.Reference<
  ((file: Stream.Stream<Uint8Array, BlobStoreError>) => Effect.Effect<Verdict, unknown>) | undefined
>("@mahalla/kernel/AttachmentScanner", { defaultValue: () => undefined })
