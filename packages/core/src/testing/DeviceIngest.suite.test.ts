import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { describe, expect, it } from "vitest"
import { DeviceIngest, DeviceIngestError, type IngestHost } from "../ports/DeviceIngest.ts"
import { memoryDeviceIngest } from "./DeviceIngest.memory.ts"
import { DeviceIngestDriver, deviceIdOf, deviceIngestSuite, tokenOf } from "./DeviceIngest.suite.ts"

deviceIngestSuite.run({ describe, it }, { name: "memory", layer: memoryDeviceIngest() })

type Service = DeviceIngest["Service"]
type Driver = DeviceIngestDriver["Service"]
type Break = (
  service: Service,
  driver: Driver
) => { readonly serve?: Service["serve"]; readonly connect?: Driver["connect"] }

/** The transport in memory with one thing spoiled. */
const broken = (spoil: Break) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const service = yield* DeviceIngest
      const driver = yield* DeviceIngestDriver
      const { connect = driver.connect, serve = service.serve } = spoil(service, driver)
      return Context.make(DeviceIngest, DeviceIngest.of({ ...service, serve })).pipe(
        Context.add(DeviceIngestDriver, { ...driver, connect })
      )
    })
  ).pipe(Layer.provide(memoryDeviceIngest()))

/** As if the transport asked something else of the host. */
const asking =
  (change: (host: IngestHost) => Partial<IngestHost>): Break =>
  (service) => ({ serve: (host) => service.serve({ ...host, ...change(host) }) })

const stored = (messages: ReadonlyArray<unknown>) => messages.map(() => ({ state: "stored" }) as const)
/** Hands over and does not wait. */
const hasty = asking((host) => ({
  receive: (messages) => Effect.as(Effect.forkDetach(Effect.ignore(host.receive(messages))), stored(messages))
}))

const breaks: Record<string, Break> = {
  "acknowledges only what the host has committed": hasty,
  "acknowledges nothing while the host is away, and everything once it is back": asking((host) => ({
    receive: (messages) => Effect.catch(host.receive(messages), () => Effect.succeed(stored(messages)))
  })),
  "keeps the order of each device's messages, also of those that are handed over again": asking((host) => ({
    receive: (messages) => Effect.map(host.receive(messages.toReversed()), (outcomes) => outcomes.toReversed())
  })),
  "hands over no more than maxBatch messages at once, and many together where many wait": asking((host) => ({
    receive: (messages) =>
      Effect.map(
        Effect.forEach(messages, (message) => host.receive([message]), { concurrency: "unbounded" }),
        (outcomes) => outcomes.flat()
      )
  })),
  "stops reading while the host hangs": hasty,
  "acknowledges what the host calls dead or refused, and goes on": (service) => ({
    serve: (host) => {
      const receive: IngestHost["receive"] = (messages) =>
        Effect.filterOrFail(
          host.receive(messages),
          (outcomes) => outcomes.every(({ state }) => state === "stored"),
          () => lost
        )
      return service.serve({ ...host, receive })
    }
  }),
  "refuses a payload above maxPayload, and harms nobody else": asking(() => ({ maxPayload: Infinity })),
  "takes nothing for the topic of another device or tenant": (_, driver) => ({
    connect: (listener, credential) =>
      Effect.map(driver.connect(listener, credential), (wire) => ({ ...wire, send: (payload) => wire.send(payload) }))
  }),
  "acknowledges what was committed before it stops": (service) => ({
    serve: (host) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        yield* Effect.addFinalizer(() => Effect.forkDetach(Scope.close(scope, Exit.void)))
        return yield* Scope.provide(service.serve(host), scope)
      })
  }),
  "lets nobody in with a wrong credential, and says nothing of why": asking((host) => ({
    authenticate: (credential) =>
      Effect.catch(host.authenticate(credential), () => host.authenticate(tokenOf("meter-3")))
  })),
  "ends a session within a minute of its credential being revoked": asking(() => ({ renew: () => Effect.void })),
  "tells the host when a session has ended": asking(() => ({ closed: () => Effect.void })),
  "delivers a command and tells its states": asking((host) => ({
    commandState: (id, state) => (state.state === "sent" ? Effect.void : host.commandState(id, state))
  })),
  "serves a thousand devices at once": asking((host) => {
    let count = 0
    return {
      authenticate: (credential) =>
        Effect.suspend(() => (count++ < 900 ? host.authenticate(credential) : Effect.fail(lost)))
    }
  })
}

const lost = new DeviceIngestError({
  reason: "Unavailable",
  operation: "receive",
  subject: deviceIdOf("meter-1"),
  message: "Try again.",
  retryable: true
})

describe("DeviceIngest: a broken transport for each rule", () => {
  it("covers every rule", () => {
    expect(Object.keys(breaks).sort()).toEqual(deviceIngestSuite.rules.map(({ name }) => name).sort())
  })
  for (const [rule, spoil] of Object.entries(breaks))
    it.concurrent(`${rule}`, async () => {
      expect(await deviceIngestSuite.verdict(rule, broken(spoil))).toBe("broken")
    })
})
