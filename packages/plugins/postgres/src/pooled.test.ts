import { HostDatabase } from "@mahalla/core/plugin"
import { eventBusSuite, queueSuite } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { afterAll, describe, it } from "vitest"
import { layerEventBus } from "./PostgresEventBus.ts"
import { layerQueue } from "./PostgresQueue.ts"
import { pooled } from "../../../../scripts/services/pooler.ts"
import { database } from "./test/database.ts"

const scope = Effect.runSync(Scope.make())
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

/** One pooler for the file, started by the first rule. */
const platform = Effect.runSync(Effect.cached(Scope.provide(pooled([database.host.platform]), scope)))
const host = Layer.effect(
  HostDatabase,
  Effect.map(platform, ([url]) => ({ platform: url!, listen: database.host.listen, pooled: true }))
)
const runner = { describe, it }
const name = "postgres behind PgBouncer"

queueSuite.run(runner, { name, layer: Layer.provide(layerQueue(), host) })
eventBusSuite.run(runner, { name, layer: Layer.provide(layerEventBus, host) })
