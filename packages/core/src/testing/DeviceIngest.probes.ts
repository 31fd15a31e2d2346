/** What the rules of DeviceIngest have in common: a transport in service of a fake host, and devices that do not give up. */
import assert from "node:assert/strict"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { DeviceIngest, IngestListener, IngestMessage } from "../ports/DeviceIngest.ts"
import type { Rule } from "./conformance.ts"
import { DeviceIngestDriver, type DeviceWire, type Heard } from "./DeviceIngest.driver.ts"
import { type FakeIngestHost, fakeIngestHost, tokenOf } from "./DeviceIngest.host.ts"

export type Service = DeviceIngest["Service"]
type Driver = DeviceIngestDriver["Service"]

/** A transport that serves a fake city. */
export interface Served {
  readonly fake: FakeIngestHost
  readonly driver: Driver
  readonly listener: IngestListener
  /** A connection of this device, until the rule's end. */
  readonly device: (name: string) => Effect.Effect<DeviceWire, unknown, Scope.Scope>
}

export const bytes = (value: object): Uint8Array => Buffer.from(JSON.stringify(value))
export const valueOf = ({ payload }: IngestMessage): unknown => JSON.parse(Buffer.from(payload).toString())
export const nameOf = ({ from }: IngestMessage): string => ("session" in from ? from.session.device : from.device)

/** The numbers `n` of one device's messages in the order in which they were first committed. */
export const numbersOf = (fake: FakeIngestHost, device: string): ReadonlyArray<number> => [
  ...new Set(
    fake.committed
      .filter((message) => nameOf(message) === device)
      .map((message) => (valueOf(message) as { readonly n: number }).n)
  )
]

/** Waits until it holds; at most ten seconds. */
export const until = (what: string, holds: () => boolean) =>
  Effect.gen(function* () {
    const start = yield* Clock.currentTimeMillis
    while (!holds()) {
      assert.ok((yield* Clock.currentTimeMillis) - start < 10_000, `waited ten seconds until ${what}`)
      yield* Effect.sleep(5)
    }
  })

/** Sends again, on a new connection where it must, until it is acknowledged. */
export const persist = (served: Served, name: string, payload: Uint8Array) =>
  served.device(name).pipe(
    Effect.flatMap((wire) => wire.send(payload)),
    Effect.scoped,
    Effect.filterOrFail((heard) => heard === "acknowledged"),
    Effect.retry(Schedule.spaced("50 millis")),
    Effect.timeout("30 seconds")
  )

/** A message, also where the device is told to come again. */
export type Send = (payload: Uint8Array) => Effect.Effect<Heard, unknown>

/** So many devices, each with its way to send. */
export const connected = ({ device, driver }: Served, count: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, index) => `meter-${index}`),
    (name): Effect.Effect<Send, unknown, Scope.Scope> =>
      Effect.map(device(name), ({ send }) =>
        driver.lacks.includes("waiting")
          ? (payload) =>
              send(payload).pipe(
                Effect.filterOrFail((heard) => heard !== "unanswered"),
                Effect.retry(Schedule.spaced("50 millis")),
                Effect.timeout("30 seconds")
              )
          : send
      ),
    { concurrency: 50 }
  )
export const sendOnce = (send: Send) => send(bytes({ n: 1 }))

const driverOf = Effect.map(Effect.serviceOption(DeviceIngestDriver), (driver) =>
  Option.getOrThrowWith(driver, () => new Error("The layer provides no DeviceIngestDriver."))
)

interface Wants {
  readonly maxBatch?: number
  readonly maxPayload?: number
  /** What the protocol must have for the rule to make sense. */
  readonly needs?: Driver["lacks"]
}

/** A rule about a transport that serves a fake city. */
export const rule = (
  name: string,
  wants: Wants,
  check: (served: Served, service: Service) => Effect.Effect<void, unknown, Scope.Scope>
): Rule<DeviceIngest, Service> => ({
  name,
  unless: () =>
    Effect.map(driverOf, ({ lacks }) => {
      const missing = wants.needs?.filter((need) => lacks.includes(need)) ?? []
      return missing.length === 0 ? undefined : `the transport has no ${missing.join(", ")} of its own`
    }),
  check: (service) =>
    Effect.gen(function* () {
      const driver = yield* driverOf
      const fake = yield* fakeIngestHost(wants)
      const listener = yield* service.serve(fake.host)
      const device = (of: string) => driver.connect(listener, tokenOf(of))
      yield* check({ fake, driver, listener, device }, service)
    })
})
