/** Which vehicles a report is about: the plates that were read for sure, and the one the citizen named. */
import type { FindingRow } from "./model.ts"

export interface ProposedPlate {
  readonly text?: string | undefined
  readonly country?: string | undefined
  readonly at?: number | undefined
  readonly findingId?: string | undefined
}

/** Violations proposed from one report at most. */
export const maxProposed = 20

/** O and I are not told from 0 and 1 by everybody who writes a plate down. `besides`: a character that stays too. */
export const folded = (text: string, besides = "") =>
  [...text.toUpperCase()]
    .filter((character) => /[A-Z0-9]/.test(character) || character === besides)
    .join("")
    .replaceAll("O", "0")
    .replaceAll("I", "1")

/**
 * One proposal for each plate that is certain, best finding first. A plate that the citizen named comes first; when it was read, with the finding
 * that shows it. Without any plate one proposal remains, for the inspector to complete.
 */
export const platesIn = (
  findings: ReadonlyArray<FindingRow>,
  named: string | undefined
): ReadonlyArray<ProposedPlate> => {
  const best = new Map<string, FindingRow>()
  for (const finding of findings) {
    if (finding.kind !== "plate" || finding.text === null) continue
    const key = folded(finding.text)
    const isNamed = named !== undefined && key === folded(named)
    if (!finding.certain && !isNamed) continue
    const other = best.get(key)
    if (other === undefined || other.confidence < finding.confidence) best.set(key, finding)
  }
  const proposalOf = (finding: FindingRow): ProposedPlate => ({
    text: finding.text ?? undefined,
    country: finding.country ?? undefined,
    at: finding.at ?? undefined,
    findingId: finding.id
  })
  if (named === undefined) {
    const all = [...best.values()].sort((a, b) => b.confidence - a.confidence).map(proposalOf)
    return all.length === 0 ? [{}] : all.slice(0, maxProposed)
  }
  const seen = best.get(folded(named))
  // The citizen says which vehicle it was: others in the picture are bystanders.
  return [{ ...(seen === undefined ? {} : proposalOf(seen)), text: named }]
}
