/**
 * Configuration of the outbox.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const bounded = (minimum: number, maximum: number, fallback: number) =>
  Schema.Int.check(Schema.isBetween({ minimum, maximum })).pipe(Schema.withDecodingDefault(Effect.succeed(fallback)))

export const OutboxConfig = Schema.Struct({
  /**
   * Whether one-time codes are kept in production too. They are then shown to whoever may read the plugin's folder, and never through
   * the HTTP API.
   */
  codes: Schema.Boolean.pipe(Schema.withDecodingDefault(Effect.succeed(false))),
  /** Bytes after which a new file is begun. */
  fileSize: bounded(4_096, 268_435_456, 4_194_304),
  /** Files kept; the oldest goes when there are more. */
  files: bounded(2, 1_000, 4)
})

export type OutboxConfig = typeof OutboxConfig.Type
