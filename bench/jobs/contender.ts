/** What one queue must offer to be measured: producer and worker in one process, on a database of its own. */
export interface Contender {
  readonly addOne: (n: number) => Promise<void>
  /** Absent: the queue has no way to add many in one call. */
  readonly addMany?: (numbers: ReadonlyArray<number>) => Promise<void>
  /** Begins to work, 16 at once, with a handler that does nothing but say the job's number. */
  readonly work: (done: (n: number) => void) => Promise<void>
  /** Jobs that the database does not yet know to be done. */
  readonly left: () => Promise<number>
  readonly close: () => Promise<void>
}

/** About 110 bytes as JSON. */
export const payload = (n: number) => ({
  n,
  caseId: "0198f3a2-7c44-7000-8000-0123456789ab",
  reason: "a citizen has sent a report, encode its video"
})

export const concurrency = 16
/** Connections that a queue may hold for its statements. */
export const connections = 10
