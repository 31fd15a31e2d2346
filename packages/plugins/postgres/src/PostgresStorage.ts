/**
 * The Storage: a PostgreSQL that starts by itself when no address is given, else the one at that address.
 */
import { Host, Storage, StorageError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { join } from "node:path"
import { backupDump, restoreDump } from "./backup/dump.ts"
import { backupFolder, restoreFolder } from "./backup/folder.ts"
import type { StorageConfig } from "./config.ts"
import { address, checkVersion, health, withoutPooler } from "./connection.ts"
import { launchPostgres } from "./launcher/index.ts"

const defaultConnections = 20

const embedded = (config: StorageConfig) =>
  Effect.gen(function* () {
    const host = yield* Host
    const maxConnections = config.maxConnections ?? defaultConnections
    const launched = yield* launchPostgres({
      dataFolder: config.dataFolder ?? join(host.home, "postgres"),
      // Room for a second process (a backup, an upgrade) and for the reserved ones.
      maxConnections: Math.max(100, maxConnections * 2 + 10)
    })
    return Storage.of({
      settings: { owner: launched.owner, pooled: false, maxConnections, embedded: true },
      health: Effect.flatMap(address(launched.owner, "dataFolder"), health),
      backup: backupFolder(launched),
      restore: restoreFolder(launched)
    })
  })

const outside = (url: NonNullable<StorageConfig["url"]>, config: StorageConfig) =>
  Effect.gen(function* () {
    const owner = yield* address(url, "url")
    if (config.appUrl !== undefined) yield* address(config.appUrl, "appUrl")
    if (config.platformUrl !== undefined) yield* address(config.platformUrl, "platformUrl")
    const pooled = config.pooled ?? false
    if (pooled && config.direct === undefined)
      return yield* new StorageError({
        reason: "Unsupported",
        operation: "open",
        subject: "direct",
        message:
          "pooled is set, but not direct: LISTEN and migrations cannot go through a pooler. Give host and port of the server itself.",
        retryable: false
      })
    const server = withoutPooler(owner, config.direct)
    yield* checkVersion(server)
    return Storage.of({
      settings: {
        owner: url,
        ...(config.appUrl === undefined ? {} : { app: config.appUrl }),
        ...(config.platformUrl === undefined ? {} : { platform: config.platformUrl }),
        pooled,
        ...(config.direct === undefined ? {} : { direct: config.direct }),
        maxConnections: config.maxConnections ?? defaultConnections,
        embedded: false
      },
      health: health(owner),
      backup: backupDump(server),
      restore: restoreDump(server)
    })
  })

export const layerStorage = (config: StorageConfig): Layer.Layer<Storage, StorageError, Host> =>
  Layer.effect(Storage, config.url === undefined ? embedded(config) : outside(config.url, config))
