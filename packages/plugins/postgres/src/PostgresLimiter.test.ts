import { HostDatabase, Limiter } from "@mahalla/core/plugin"
import { LimiterControl, limiterSuite } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describe, it } from "vitest"
import { layerLimiter } from "./PostgresLimiter.ts"
import { database } from "./test/database.ts"

const limiter = layerLimiter().pipe(Layer.provide(Layer.succeed(HostDatabase, database.host)))
const control = Layer.effect(
  LimiterControl,
  Effect.map(
    Effect.flatMap(Layer.build(Layer.fresh(limiter)), (peer) => Effect.provide(Limiter, peer)),
    (peer) => ({
      peer
    })
  )
)

limiterSuite.run({ describe, it }, { name: "postgres", layer: Layer.merge(limiter, control) })
