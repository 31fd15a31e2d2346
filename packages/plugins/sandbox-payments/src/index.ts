/**
 * Payments that pay nobody: for a first day with the engine, for demonstrations, and for tests of everything that must hold when a
 * payment rail misbehaves. Refuses to start in production.
 */
import { definePlugin, Host, Payments, PluginError, type PaymentsError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import { SandboxConfig } from "./config.ts"
import { ensureSimulator, stopSimulator, type Running } from "./launcher.ts"
import { makePayments, type Endpoint } from "./SandboxPayments.ts"

export { SandboxConfig } from "./config.ts"
export { findSimulator, type Running } from "./launcher.ts"
export { faultNames, type FaultName, type FaultRates } from "./simulator/faults.ts"

const id = "@mahalla/sandbox-payments"

/**
 * A simulator of our own for as long as the layer lives; started again when it was killed. One that a living process has
 * started is left to that one: a command beside a server must not take the server's rail away.
 */
const ownEndpoint = Effect.fnUntraced(function* (home: string, config: SandboxConfig) {
  const one = yield* Semaphore.make(1)
  let running: Running | undefined
  let ours = false
  const ensure = Effect.tap(ensureSimulator(home, config), (found) =>
    Effect.sync(() => {
      running = found
      ours = found.ours
    })
  )
  yield* Effect.addFinalizer(() => (ours ? stopSimulator(home) : Effect.void))
  const url: Effect.Effect<string, PaymentsError> = Effect.suspend(() =>
    running === undefined ? one.withPermits(1)(Effect.map(ensure, (found) => found.url)) : Effect.succeed(running.url)
  )
  yield* url
  return { url, again: one.withPermits(1)(Effect.map(ensure, (found) => found.url)) } satisfies Endpoint
})

export const sandboxPayments = definePlugin({
  id,
  apiVersion: 1,
  config: SandboxConfig,
  provides: [Payments],
  capabilities: { payees: ["phone"], paysNobody: true },
  layer: (config) =>
    Layer.effect(
      Payments,
      Effect.gen(function* () {
        const host = yield* Host
        if (host.mode === "production")
          return yield* new PluginError({
            plugin: id,
            instance: host.instance,
            reason: "Failed",
            message: `Plugin ${host.instance} pays nobody and does not start in production. Configure a real payment rail, or leave payments out.`
          })
        const url = config.url?.replace(/\/+$/, "")
        const endpoint: Endpoint =
          url === undefined
            ? yield* ownEndpoint(host.home, config)
            : { url: Effect.succeed(url), again: Effect.succeed(url) }
        return makePayments(config, endpoint)
      })
    ),
  health: () =>
    Effect.gen(function* () {
      const payments = yield* Payments
      yield* payments.status("00000000-0000-4000-8000-000000000000")
      return { status: "up" } as const
    }).pipe(Effect.catch((error) => Effect.succeed({ status: "down", detail: error.message } as const)))
})
