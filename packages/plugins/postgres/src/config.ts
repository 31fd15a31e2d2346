/**
 * Configuration: nothing for the PostgreSQL that starts by itself, an address for yours.
 */
import * as Schema from "effect/Schema"

const Secret = Schema.RedactedFromValue(Schema.String)

/** Every key is optional. */
export const StorageConfig = Schema.Struct({
  /** `postgres://user:password@host/database` of the role that owns the database. Absent: an embedded PostgreSQL is started. */
  url: Schema.optionalKey(Secret),
  /** Log-in of the role `app`, where the owner may not create roles. */
  appUrl: Schema.optionalKey(Secret),
  /** Log-in of the role `platform`, where the owner may not create roles. */
  platformUrl: Schema.optionalKey(Secret),
  /** True where `url` leads to a pooler in transaction mode, such as PgBouncer. Default false. */
  pooled: Schema.optionalKey(Schema.Boolean),
  /** Host and port of the server itself; needed when `pooled`. */
  direct: Schema.optionalKey(
    Schema.Struct({
      host: Schema.NonEmptyString,
      port: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 }))
    })
  ),
  /** Connections of one server process, all roles together. 4–1,000, default 20. */
  maxConnections: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 4, maximum: 1_000 }))),
  /** Where the embedded PostgreSQL keeps its data. Default: `postgres` in the plugin's home folder. */
  dataFolder: Schema.optionalKey(Schema.NonEmptyString)
})

export type StorageConfig = typeof StorageConfig.Type

/** Every key is optional. */
export const QueueConfig = Schema.Struct({
  /** Connections beside the one that listens and the one that notifies. 1–100, default 4. */
  maxConnections: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 })))
})

export type QueueConfig = typeof QueueConfig.Type

/** Every key is optional. */
export const LimiterConfig = Schema.Struct({
  /** Connections of its own; few are enough, for an answer takes less than a millisecond. 1–100, default 2. */
  maxConnections: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 })))
})

export type LimiterConfig = typeof LimiterConfig.Type
