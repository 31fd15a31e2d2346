/**
 * Traffic violations filed with ASBT, the government's system for them. Without an address it files with a sandbox of its own that fines
 * nobody: for a first day with the engine, for demonstrations, and for tests of everything that must hold when an authority misbehaves.
 */
import { Authority, definePlugin, Host, HostOutward, PluginError, type PluginHealth } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { makeAsbt } from "./Asbt.ts"
import { hearCallbacks } from "./callbacks.ts"
import { AsbtConfig } from "./config.ts"
import { ownSandbox } from "./launcher.ts"

export { AsbtConfig } from "./config.ts"
export { faultNames, type FaultName, type FaultRates } from "./simulator/faults.ts"

const id = "@mahalla/asbt"

/** Asked for the plugin's health: it is the plugin's own, and no port of anybody's. */
const troubles = new WeakMap<Authority["Service"], Effect.Effect<string | undefined>>()

const endpointOf = Effect.fnUntraced(function* (config: AsbtConfig) {
  const host = yield* Host
  const refuse = (message: string) =>
    new PluginError({ plugin: id, instance: host.instance, reason: "Failed", message })
  const { sandbox, secret, url } = config
  if (url === undefined) {
    if (host.mode === "production")
      return yield* refuse(
        `Plugin ${host.instance} has no url, and its sandbox fines nobody and does not start in production. Configure the authority's url and secret, or leave the plugin out.`
      )
    return { ...(yield* ownSandbox(host.home, sandbox)), own: ["127.0.0.1"] }
  }
  if (secret === undefined)
    return yield* refuse(`Plugin ${host.instance} needs the secret that both sides sign with: secret.`)
  const text = Redacted.value(secret)
  return { secret: text, endpoint: Effect.succeed({ url: url.replace(/\/+$/, ""), secret: text }), own: [] }
})

export const asbt = definePlugin({
  id,
  apiVersion: 1,
  config: AsbtConfig,
  provides: [Authority],
  capabilities: { kinds: ["traffic-violation"], callbacks: true },
  layer: (config) =>
    Layer.effect(
      Authority,
      Effect.gen(function* () {
        const outward = yield* HostOutward
        const { endpoint, own, secret } = yield* endpointOf(config)
        const { notices, url: callback } = yield* hearCallbacks(secret)
        const { client, timeout } = config
        const { authority, trouble } = makeAsbt({ client, timeout, outward, endpoint, own, callback, notices })
        troubles.set(authority, trouble)
        return authority
      })
    ),
  health: () =>
    Effect.gen(function* () {
      const trouble = yield* troubles.get(yield* Authority) ?? Effect.succeed(undefined)
      return trouble === undefined
        ? ({ status: "up" } satisfies PluginHealth)
        : ({ status: "down", detail: trouble } satisfies PluginHealth)
    })
})
