/**
 * Storage, Queue, EventBus and Limiter on PostgreSQL: one that starts by itself, or yours. They are four plugins, since the others need
 * the database that the engine has migrated, and the storage is what it migrates.
 */
import { apiVersion, definePlugin, type Plugin, EventBus, Limiter, Queue, Storage } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { LimiterConfig, QueueConfig, StorageConfig } from "./config.ts"
import { layerEventBus } from "./PostgresEventBus.ts"
import { layerLimiter } from "./PostgresLimiter.ts"
import { layerQueue } from "./PostgresQueue.ts"
import { layerStorage } from "./PostgresStorage.ts"

/** The city's database; see `StorageConfig` for its keys. */
export const postgresStorage = definePlugin({
  id: "@mahalla/postgres",
  apiVersion,
  config: StorageConfig,
  provides: [Storage],
  layer: layerStorage,
  health: () =>
    Effect.flatMap(Storage, ({ health }) =>
      Effect.match(health, {
        onSuccess: ({ latency, version }) => ({
          status: "up" as const,
          detail: `PostgreSQL ${version}, ${latency.toFixed(1)} ms`
        }),
        onFailure: ({ message }) => ({ status: "down" as const, detail: message })
      })
    )
})

/** Live fan-out by LISTEN and NOTIFY. */
export const postgresEventBus = definePlugin({
  id: "@mahalla/postgres-event-bus",
  apiVersion,
  config: Schema.Struct({}),
  provides: [EventBus],
  layer: () => layerEventBus
})

/** Work to do, on the kernel's own table. */
export const postgresQueue = definePlugin({
  id: "@mahalla/postgres-queue",
  apiVersion,
  config: QueueConfig,
  provides: [Queue],
  layer: layerQueue
})

/** How often something may be done, counted in the database. */
export const postgresLimiter = definePlugin({
  id: "@mahalla/postgres-limiter",
  apiVersion,
  config: LimiterConfig,
  provides: [Limiter],
  layer: layerLimiter
})

export { launchPostgres, type LaunchedPostgres, type LaunchOptions } from "./launcher/index.ts"
export { LimiterConfig, QueueConfig, StorageConfig } from "./config.ts"

/** All four on one database, which is what a city wants. */
export const postgres = (config: (typeof StorageConfig)["Encoded"] = {}): ReadonlyArray<Plugin> => [
  postgresStorage(config),
  postgresQueue({}),
  postgresEventBus({}),
  postgresLimiter({})
]
