/**
 * A member as the list holds them: a keyed hash of their number and what else they are asked for. Without the key the list tells nothing;
 * with it, numbers and birthdays can be tried, so the two are kept apart.
 */
import type { ClaimName, Claims } from "@mahalla/core/plugin"
import { createHmac } from "node:crypto"

const keyed = (key: string, ...parts: ReadonlyArray<string>): string =>
  createHmac("sha256", key).update(JSON.stringify(parts)).digest("base64url")

/** A name whatever its capitals, apostrophes and the order of its words. */
const normalName = (name: string): string =>
  name
    .normalize("NFKC")
    .toLowerCase()
    .split(/\s+/)
    // Apostrophes are letters to Unicode where they are written as ʻ or ʼ (Lm).
    .map((word) => word.replace(/[^\p{Ll}\p{Lo}\p{M}\p{N}]/gu, ""))
    .filter((word) => word !== "")
    .sort()
    .join(" ")

/** base64url, 43 characters. */
export const entryOf = (key: string, needs: ReadonlyArray<ClaimName>, claims: Claims): string =>
  keyed(
    key,
    "entry",
    claims.number,
    needs.includes("birthDate") ? (claims.birthDate ?? "") : "",
    needs.includes("name") ? normalName(claims.name ?? "") : ""
  )

/** The list's own name of a member; it stays when their name changes. */
export const referenceOf = (key: string, number: string): string => keyed(key, "reference", number)

/** Tells the right key from a wrong one. */
export const proofOf = (key: string): string => keyed(key, "proof")
