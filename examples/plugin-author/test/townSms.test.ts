import { Host, type Messenger, type Plugin } from "@mahalla/core/plugin"
import { MessengerControl, messengerSuite } from "@mahalla/core/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describe, it } from "vitest"
import { townSms } from "../src/townSms.ts"
import { townSmsEffect } from "../src/townSmsEffect.ts"
import { gateway } from "./gateway.ts"

const host = Layer.succeed(Host, { instance: "sms", home: "/nowhere", scratch: "/nowhere", mode: "dev" })

const withGateway = (plugin: (config: { url: string; token: string }) => Plugin) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { url, control } = yield* gateway
      const layer = plugin({ url, token: "sesame" }).layer.pipe(Layer.provide(host)) as Layer.Layer<Messenger, unknown>
      return Context.add(yield* Layer.build(layer), MessengerControl, control)
    })
  )

messengerSuite.run({ describe, it }, { name: "townSms", layer: withGateway(townSms) })
messengerSuite.run({ describe, it }, { name: "townSmsEffect", layer: withGateway(townSmsEffect) })
