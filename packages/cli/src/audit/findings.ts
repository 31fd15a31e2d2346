/** What can be wrong with a log, and how this program ends. */

/** Exit codes; documented for scripts. 0: verified. */
export const exitCodes = {
  /** The program was not called as it must be, or a file cannot be read. */
  usage: 64,
  /** Not a line of an export, or of a checkpoint file. */
  malformed: 10,
  /** An event is not what was sealed. */
  "changed-leaf": 11,
  /** A position is not in the export. */
  "missing-position": 12,
  /** A position stands at another place. */
  reordered: 13,
  /** The export ends before a checkpoint's size. */
  "cut-tail": 14,
  /** A checkpoint was not signed by the key. */
  "bad-signature": 15,
  /** Two checkpoints of one size have different roots. */
  fork: 16,
  /** Events and their hashes fit together, and not to what was signed. */
  rewritten: 17,
  /** The position has its hash, and the event is gone. */
  "missing-content": 18
} as const

export type Fault = keyof typeof exitCodes

/** The first bad place. */
export class Finding extends Error {
  readonly fault: Fault
  /** Of the event; absent where a file as a whole or a checkpoint is meant. */
  readonly position: number | undefined
  readonly event: string | undefined
  constructor(fault: Fault, message: string, place: { readonly position?: number; readonly event?: string } = {}) {
    super(message)
    this.fault = fault
    this.position = place.position
    this.event = place.event
  }
}
