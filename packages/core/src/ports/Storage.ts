/**
 * A PostgreSQL of version 15 or newer: where it is, whether it lives, how it is saved. The engine makes its own clients, roles and
 * tables on it.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import { PortError } from "./PortError.ts"

export type StorageReason =
  | "Unavailable"
  | "Unauthorized"
  /** Older than PostgreSQL 15, or a server that is not one. */
  | "WrongVersion"
  /** Another process owns the data folder, or it belongs to another major version. */
  | "DataFolder"
  | "Full"
  /** The storage cannot do this by itself; the message says which tool can. */
  | "Unsupported"

export class StorageError extends PortError("StorageError")<StorageReason> {}

export interface StorageSettings {
  /** `postgres://…` of a role that owns the database: migrates and, where it may, creates the two others. */
  readonly owner: Redacted.Redacted<string>
  /** Log-in of the role `app`. Absent: the engine creates one. */
  readonly app?: Redacted.Redacted<string>
  /** Log-in of the role `platform`. Absent: the engine creates one. */
  readonly platform?: Redacted.Redacted<string>
  /** True where a pooler in transaction mode stands between: no prepared statements, and LISTEN goes to `direct`. */
  readonly pooled: boolean
  /** Host and port that reach the server itself, when `pooled`. */
  readonly direct?: { readonly host: string; readonly port: number }
  /** Connections that one server process may hold, all roles together. */
  readonly maxConnections: number
  /** Started by us on this machine. */
  readonly embedded: boolean
}

export interface StorageHealth {
  /** As in `server_version`: `18.4`. */
  readonly version: string
  /** Bytes of this database. */
  readonly size: number
  /** Milliseconds for one round trip. */
  readonly latency: number
}

export class Storage extends Context.Service<
  Storage,
  {
    readonly settings: StorageSettings
    readonly health: Effect.Effect<StorageHealth, StorageError>
    /** A consistent copy into a new folder, while the city runs. */
    readonly backup: (directory: string) => Effect.Effect<void, StorageError>
    /** Replaces everything with a copy made by `backup`; the city must be stopped. */
    readonly restore: (directory: string) => Effect.Effect<void, StorageError>
  }
>()("@mahalla/ports/Storage") {}
