/** What is wrong with a file: gathered, so that whoever mends it sees all at once, and not a million of them. */
import { InvalidInput } from "../../kernel/cases/model.ts"

/** Reported at most; where there are more the last one says so. */
const most = 50

export interface Findings {
  /** `pointer`: `#line/12` for text, a JSON Pointer for JSON. */
  readonly add: (pointer: string, detail: string) => void
  readonly warn: (text: string) => void
  readonly warnings: () => ReadonlyArray<string>
  /** Undefined where nothing is wrong. */
  readonly failure: () => InvalidInput | undefined
}

export const makeFindings = (): Findings => {
  const issues: Array<{ readonly pointer: string; readonly detail: string }> = []
  const warnings: Array<string> = []
  let more = 0
  let moreWarnings = 0
  return {
    add: (pointer, detail) => void (issues.length < most ? issues.push({ pointer, detail }) : more++),
    warn: (text) => void (warnings.length < most ? warnings.push(text) : moreWarnings++),
    warnings: () => (moreWarnings === 0 ? warnings : [...warnings, `${moreWarnings} more of this kind.`]),
    failure: () =>
      issues.length === 0
        ? undefined
        : new InvalidInput({
            issues: more === 0 ? issues : [...issues, { pointer: "", detail: `${more} more mistakes follow.` }]
          })
  }
}
