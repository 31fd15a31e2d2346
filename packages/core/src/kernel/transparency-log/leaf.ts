/**
 * What an event looks like to the log. The encoding is part of every proof ever given: it may gain a new form beside this one, and
 * never change. Personal values are not in it, only their salted commitments.
 */
import type { Erased } from "../Erased.ts"

/** An event as it enters the tree. All members are always there. */
export interface Leaf {
  /** Place in the tenant's order, from 1; the tree counts from 0. */
  readonly position: number
  readonly id: string
  readonly type: string
  readonly caseId: string | null
  readonly actorId: string | null
  /** RFC 3339 in UTC with six decimals, as `2026-11-20T08:00:00.123000Z`. */
  readonly occurredAt: string
  /** Without personal values. */
  readonly payload: Readonly<Record<string, unknown>>
  /** Field → base64url SHA-256 over salt, a zero byte and the value's JSON. */
  readonly commitments: Readonly<Record<string, string>>
  /** W3C trace id, where the request was sampled. */
  readonly traceId: string | null
}

/**
 * The JSON Canonicalization Scheme (RFC 8785): no white space, members in the order of their names' UTF-16 units, numbers and texts as
 * ECMAScript writes them. Unlike an object made anew it keeps `"10"` before `"9"`.
 */
export const jcs = (value: Erased): string => {
  if (Array.isArray(value)) return `[${value.map(jcs).join()}]`
  if (value === null || typeof value !== "object") return JSON.stringify(value)
  const members = Object.keys(value)
    .sort((a, b) => (a < b ? -1 : 1))
    .map((name) => `${JSON.stringify(name)}:${jcs(value[name])}`)
  return `{${members.join()}}`
}

const text = (value: string | null): string => JSON.stringify(value)

/** The entry whose hash is the leaf. */
export const encodeLeaf = (leaf: Leaf): string => {
  const { actorId, caseId, commitments, id, occurredAt, payload, position, traceId, type } = leaf
  // As `jcs` of all of it, whose members are in order here already.
  return `{"actorId":${text(actorId)},"caseId":${text(caseId)},"commitments":${jcs(commitments)},"id":${text(id)},"occurredAt":${text(occurredAt)},"payload":${jcs(payload)},"position":${position},"traceId":${text(traceId)},"type":${text(type)}}`
}
