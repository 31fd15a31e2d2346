import { EventBus, HostDatabase } from "@mahalla/core/plugin"
import { EventBusControl, eventBusSuite } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describe, it } from "vitest"
import { layerEventBus } from "./PostgresEventBus.ts"
import { database, terminate } from "./test/database.ts"

const bus = layerEventBus.pipe(Layer.provide(Layer.succeed(HostDatabase, database.host)))

const control = Layer.effect(
  EventBusControl,
  Effect.gen(function* () {
    const peer = yield* Layer.build(Layer.fresh(bus))
    return { peer: yield* Effect.provide(EventBus, peer), cut: terminate("mahalla-listen") }
  })
)

eventBusSuite.run({ describe, it }, { name: "postgres", layer: Layer.merge(bus, control) })
