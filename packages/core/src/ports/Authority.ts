/**
 * A government system with which decisions of the city are filed: an accepted traffic violation becomes a fine there, or does not.
 *
 * Our number comes first: it is committed before the first byte leaves, and it is the only name of the filing until the authority gives
 * one of its own. A lost answer is the outcome `unknown`, never an error and never a reason to file again under a new number; only
 * `status` settles it.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { Money } from "./Payments.ts"
import { PortError } from "./PortError.ts"

export type AuthorityReason =
  /** The authority cannot take the filing in this form, or the number stands for another one. Nothing was filed by this call. */
  | "InvalidRequest"
  /** It does not know us, or its address may not be reached; somebody must change the configuration. */
  | "Unauthorized"
  /** Nothing was looked at, or only asked; try again. */
  | "Unavailable"
  | "RateLimited"

export class AuthorityError extends PortError("AuthorityError")<AuthorityReason> {}

/** A file that proves it, at an address that works for a while and for whoever has it. */
export interface Evidence {
  /** Absolute; `http` only where both sides are on one machine. */
  readonly url: string
  /** Epoch milliseconds after which the address gives nothing. */
  readonly expiresAt: number
  /** Of the file's bytes, lower-case hex: what is fetched can be compared, years later too. */
  readonly sha256: string
  readonly mediaType: string
  /** Bytes. */
  readonly size: number
}

export interface Filing {
  /** Ours, unique for ever: a UUID. */
  readonly number: string
  /** What is filed, one of the authority's `kinds`: `traffic-violation`. */
  readonly kind: string
  /** The city's name of the offence, as `red-light`. */
  readonly offence: string
  /** Article of the law, as `128-3(1)`. */
  readonly article: string
  /** Upper case, without spaces. Personal data: in no error, no log. */
  readonly plate: string
  /** ISO 3166-1, where it is known. */
  readonly plateCountry?: string
  /** Epoch milliseconds. */
  readonly occurredAt: number
  /** WGS84 degrees. */
  readonly place?: { readonly longitude: number; readonly latitude: number }
  /** 1–20 files. */
  readonly evidence: ReadonlyArray<Evidence>
}

export type FilingOutcome =
  /** `reference`: the authority's own number, where it gives one at once. */
  | { readonly state: "accepted"; readonly reference?: string }
  /** It says finally that it does not take this one. */
  | { readonly state: "refused"; readonly code: string; readonly message: string }
  /** The answer was lost, late or unreadable. */
  | { readonly state: "unknown"; readonly message: string }

export interface Decision {
  readonly state: "decided"
  readonly verdict: "fined" | "dismissed"
  /** Of `fined`, as it was imposed. */
  readonly fine?: Money
  /** The authority's own number of the decision. */
  readonly reference: string
  /** Epoch milliseconds. */
  readonly at: number
}

export type FilingStatus =
  | { readonly state: "received"; readonly reference?: string }
  | { readonly state: "in-review"; readonly reference?: string }
  /** May change once more: courts reverse decisions. */
  | Decision
  | { readonly state: "refused"; readonly code: string; readonly message: string }
  /** The authority does not know our number. `final` only where its contract says that it never will. */
  | { readonly state: "not-found"; readonly final: boolean }

export class Authority extends Context.Service<
  Authority,
  {
    /** What it takes, as `traffic-violation`. */
    readonly kinds: ReadonlyArray<string>
    /**
     * Files at most once for one number, however often it is called with it; the same number with another body is `InvalidRequest`.
     * Addresses of evidence and when they expire are no part of that: each call may bring new ones for the same files. The error
     * channel means that surely nothing was filed by this call; anything less sure is the outcome `unknown`, after which the same
     * number may be sent again.
     */
    readonly file: (filing: Filing) => Effect.Effect<FilingOutcome, AuthorityError>
    /** What became of a number of ours. An answer that cannot be read, or is about another number, is `Unavailable`. */
    readonly status: (number: string) => Effect.Effect<FilingStatus, AuthorityError>
    /** Numbers of ours of which the authority has said something unasked: a hint to ask `status`, never more. Does not end by itself. */
    readonly notices?: Stream.Stream<string, AuthorityError>
  }
>()("@mahalla/ports/Authority") {}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Whether a text can be a number of ours. */
export const isFilingNumber = (text: string): boolean => uuid.test(text)

const evidenceMistake = ({ expiresAt, mediaType, sha256, size, url }: Evidence): string | undefined => {
  if (!URL.canParse(url) || !/^https?:/.test(url)) return "The evidence must have addresses of http or https."
  if (!Number.isSafeInteger(expiresAt)) return "The evidence must say when its address expires."
  if (!/^[0-9a-f]{64}$/.test(sha256)) return "The evidence must have a SHA-256 in lower-case hex."
  if (!/^[\w.+-]+\/[\w.+-]+$/.test(mediaType)) return "The evidence must have a media type."
  return Number.isSafeInteger(size) && size > 0 ? undefined : "The evidence must have its size in bytes."
}

/** What makes a filing unfit for an authority that takes these kinds, in words for the `InvalidRequest`; undefined when it is fit. The plate is never repeated in them. */
export const filingMistake = (filing: Filing, kinds: ReadonlyArray<string>): string | undefined => {
  const { article, evidence, kind, number, occurredAt, offence, place, plate, plateCountry } = filing
  if (!isFilingNumber(number)) return "The number must be a UUID."
  if (!kinds.includes(kind)) return `Filings of the kind ${kind} are not taken here.`
  if (!/^[a-z0-9][a-z0-9-]{0,59}$/.test(offence)) return "The offence must be a code of the catalogue."
  if (article.trim() === "" || article.length > 100) return "The article must have 1 to 100 characters."
  if (!/^[A-Z0-9]{2,12}$/.test(plate)) return "The plate must be 2 to 12 capitals and digits, without spaces."
  if (plateCountry !== undefined && !/^[A-Z]{2}$/.test(plateCountry)) return "The plate's country must be two capitals."
  if (!Number.isSafeInteger(occurredAt) || occurredAt < 0) return "When it happened must be epoch milliseconds."
  if (place !== undefined && !(Math.abs(place.longitude) <= 180 && Math.abs(place.latitude) <= 90))
    return "The place must be WGS84 degrees."
  if (evidence.length < 1 || evidence.length > 20) return "There must be 1 to 20 files of evidence."
  return evidence.map(evidenceMistake).find((mistake) => mistake !== undefined)
}

/** What is the same in a filing that is sent again: all but where its evidence is fetched from. */
export const filingBody = (filing: Filing): string =>
  JSON.stringify([
    filing.kind,
    filing.offence,
    filing.article,
    filing.plate,
    filing.plateCountry ?? null,
    filing.occurredAt,
    filing.place === undefined ? null : [filing.place.longitude, filing.place.latitude],
    filing.evidence.map(({ mediaType, sha256, size }) => [sha256, mediaType, size])
  ])
