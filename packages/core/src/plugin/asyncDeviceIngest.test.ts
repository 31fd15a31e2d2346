/** A transport written with async functions, over the one in memory: what serves is closed with its scope. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { describe, it } from "vitest"
import { DeviceIngestDriver, deviceIngestSuite, memoryDeviceIngest } from "../testing/index.ts"
import { definePluginAsync, DeviceIngest, type DeviceIngestError, Host } from "./index.ts"

const host = Layer.succeed(Host, { instance: "test", home: "/nowhere", scratch: "/nowhere", mode: "dev" })
const asked = <A>(call: () => Promise<A>) =>
  Effect.tryPromise({ try: call, catch: (cause) => cause as DeviceIngestError })

const asyncIngest = Layer.effectContext(
  Effect.gen(function* () {
    const memory = yield* Layer.build(memoryDeviceIngest())
    const inner = Context.get(memory, DeviceIngest)
    const plugin = definePluginAsync({
      id: "line",
      apiVersion: 1,
      config: Schema.Struct({}),
      provides: DeviceIngest,
      create: async () => ({
        transport: inner.transport,
        serve: async (city) => {
          const scope = Scope.makeUnsafe()
          const { addresses } = await Effect.runPromise(
            Scope.provide(
              inner.serve({
                ...city,
                authenticate: (credential) => asked(() => city.authenticate(credential)),
                renew: (session) => asked(() => city.renew(session)),
                closed: (session) => Effect.promise(() => city.closed(session)),
                receive: (messages) => asked(() => city.receive(messages)),
                commands: Stream.orDie(Stream.fromAsyncIterable(city.commands, (cause) => cause)),
                commandState: (id, state) => asked(() => city.commandState(id, state))
              }),
              scope
            )
          )
          return { addresses, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
        }
      })
    })
    const context = yield* Layer.build(plugin({}).layer.pipe(Layer.provide(host)) as Layer.Layer<DeviceIngest>)
    return Context.add(context, DeviceIngestDriver, Context.get(memory, DeviceIngestDriver))
  })
)

deviceIngestSuite.run(
  { describe, it },
  {
    name: "async functions",
    layer: asyncIngest,
    skip: [
      {
        rule: "ends a session within a minute of its credential being revoked",
        reason: "promises run on the real clock, which the suite cannot move"
      }
    ]
  }
)
