/**
 * Kinds of job: what a module does outside a request, at least once, with retries. A handler must bear being run twice.
 */
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { Erased } from "../Erased.ts"

/** Says how a job ended when it did not end well. */
export class JobFailure extends Data.TaggedError("JobFailure")<{
  readonly message: string
  /** True: no retry can help; it becomes a dead letter at once. */
  readonly permanent: boolean
  readonly cause?: unknown
}> {}

export interface JobInfo {
  readonly id: string
  readonly tenantId: string
  /** 1 on the first try. */
  readonly attempt: number
  readonly maxAttempts: number
}

export interface JobDefinition<Payload = Erased, R = Erased> {
  /** `module.verb`, as `reports.encode`. */
  readonly topic: string
  readonly payload: Schema.Codec<Payload, Erased>
  /** Runs outside any transaction, as the tenant's system principal. */
  readonly run: (payload: Payload, job: JobInfo) => Effect.Effect<void, unknown, R>
  /** Milliseconds for one try. Default 300,000. */
  readonly timeout?: number
  /** How many of this kind one process runs at once. Default: no limit of its own. */
  readonly concurrency?: number
}

export const defineJob = <Payload, R>(definition: JobDefinition<Payload, R>): JobDefinition<Payload, R> => definition
