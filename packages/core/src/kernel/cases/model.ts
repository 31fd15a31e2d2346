/** Cases as the engine holds them, and what can go wrong with them. */
import * as Data from "effect/Data"
import { mask } from "../mask.ts"

/** WGS84 degrees. */
export interface Place {
  readonly longitude: number
  readonly latitude: number
}

export interface CaseRecord {
  readonly id: string
  readonly type: string
  readonly typeVersion: number
  /** Short name for people, as `7F3K-9QXZ`. */
  readonly reference: string
  readonly state: string
  readonly phase: "open" | "closed" | "fixed"
  readonly data: Readonly<Record<string, unknown>>
  readonly place: Place | null
  readonly territoryId: string | null
  /** The territory with its ancestors. */
  readonly territoryPath: ReadonlyArray<string>
  /** Null for an anonymous report. */
  readonly ownerId: string | null
  readonly assigneeId: string | null
  readonly claimedBy: string | null
  readonly claimedUntil: Date | null
  readonly version: number
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** A field that is not as it must be. */
export interface FieldIssue {
  /** JSON Pointer (RFC 6901) into the request's body. */
  readonly pointer: string
  readonly detail: string
}

export class InvalidInput extends Data.TaggedError("InvalidInput")<{ readonly issues: ReadonlyArray<FieldIssue> }> {
  override get message() {
    return this.issues.map((issue) => `${issue.pointer || "/"}: ${issue.detail}`).join("; ")
  }
}

/** There is no such thing, or the actor may not know that there is. */
export class NotFound extends Data.TaggedError("NotFound")<{ readonly what: string; readonly id: string }> {
  /** The id as it was asked for, unless it is no id but somebody's phone or token: answers are kept in many places. */
  override get message() {
    return `There is no ${this.what} ${mask(this.id)}, or you may not see it.`
  }
}

/** The case is in a state from which this is not possible. */
export class WrongState extends Data.TaggedError("WrongState")<{
  readonly transition: string
  readonly state: string
  /** What is possible from here. */
  readonly possible: ReadonlyArray<string>
}> {
  override get message() {
    return `The case is ${this.state}; ${this.transition} is not possible from there. Possible: ${this.possible.join(", ") || "nothing"}.`
  }
}

/** Somebody changed it in between. */
export class VersionConflict extends Data.TaggedError("VersionConflict")<{
  /** Default: a case. */
  readonly what?: string
  readonly expected: number
  readonly found: number
}> {
  override get message() {
    return `The ${this.what ?? "case"} is at version ${this.found}, not ${this.expected}. Read it again and decide anew.`
  }
}

/** A guard or rule of the case type says no. `code` is stable, for programs. */
export class Refused extends Data.TaggedError("Refused")<{ readonly code: string; readonly message: string }> {}
