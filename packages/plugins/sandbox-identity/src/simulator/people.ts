/**
 * Whom the simulated register knows: everybody whose number fits their birthday, so that a demonstration needs no list. The number has the
 * shape of Uzbekistan's PINFL: a digit for sex and century, the birthday as DDMMYY, seven more digits. What they end with decides the rest.
 */
import { createHmac } from "node:crypto"

export interface Person {
  readonly nationalId: string
  /** `1990-07-31`. */
  readonly birthDate: string
}

export type Verdict =
  | { readonly result: "match"; readonly subjectRef: string }
  | { readonly result: "no-match"; readonly code: "not-found" | "different-data" | "deceased" | "document-withdrawn" }

const centuries: Readonly<Record<string, string>> = { 1: "18", 2: "18", 3: "19", 4: "19", 5: "20", 6: "20" }

/** The birthday that a number names. */
const birthDateIn = (nationalId: string): string => {
  const [day, month, year] = [nationalId.slice(1, 3), nationalId.slice(3, 5), nationalId.slice(5, 7)]
  return `${centuries[nationalId[0] ?? ""] ?? "??"}${year}-${month}-${day}`
}

/** A register's own name of a person. Of a real one it is a row's number; here it is made, so that nothing has to be kept. */
const subjectRef = (nationalId: string): string =>
  createHmac("sha256", "sandbox-identity").update(nationalId).digest("hex").slice(0, 24)

export const verdictOn = ({ birthDate, nationalId }: Person): Verdict => {
  if (nationalId.endsWith("0001")) return { result: "no-match", code: "not-found" }
  if (birthDateIn(nationalId) !== birthDate) return { result: "no-match", code: "different-data" }
  if (nationalId.endsWith("0002")) return { result: "no-match", code: "deceased" }
  if (nationalId.endsWith("0003")) return { result: "no-match", code: "document-withdrawn" }
  return { result: "match", subjectRef: subjectRef(nationalId) }
}
