/** What the sandbox and its thread say to each other. */
import type { CodecCall } from "./model.ts"

export interface Question {
  readonly source: string
  readonly call: CodecCall
  /** Milliseconds for reading the source, and again for the call. */
  readonly limit: number
}

/** What came of a call. */
export type Outcome =
  /** What the codec returned, as JSON. */
  { readonly returned: string } | { readonly failed: "codec-failed" | "codec-too-slow"; readonly message: string }

/** `begun`: comes first; until then the thread was busy with what it had been asked before. `broken`: the machine itself failed; nothing else may run in its thread. */
export type Answer = Outcome | { readonly broken: true } | { readonly begun: true }
