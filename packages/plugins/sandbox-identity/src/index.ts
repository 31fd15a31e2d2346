/**
 * A register of people that is none: for a first day with the engine, for demonstrations, and for tests of everything that must hold when
 * a register misbehaves. Refuses to start in production, where it would confirm anybody.
 */
import { definePlugin, Host, HostOutward, IdentityCheck, PluginError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SandboxConfig } from "./config.ts"
import { ownSimulator } from "./launcher.ts"
import { makeIdentityCheck } from "./SandboxIdentity.ts"

export { SandboxConfig } from "./config.ts"
export { faultNames, type FaultName, type FaultRates } from "./simulator/faults.ts"

const id = "@mahalla/sandbox-identity"

export const sandboxIdentity = definePlugin({
  id,
  apiVersion: 1,
  config: SandboxConfig,
  provides: [IdentityCheck],
  capabilities: { confirmsAnybody: true },
  layer: (config) =>
    Layer.effect(
      IdentityCheck,
      Effect.gen(function* () {
        const host = yield* Host
        if (host.mode === "production")
          return yield* new PluginError({
            plugin: id,
            instance: host.instance,
            reason: "Failed",
            message: `Plugin ${host.instance} confirms anybody and does not start in production. Configure a real register, or leave it out.`
          })
        const outward = yield* HostOutward
        const url = config.url?.replace(/\/+$/, "")
        return url === undefined
          ? makeIdentityCheck(config.timeout, outward, yield* ownSimulator(config), ["127.0.0.1"])
          : makeIdentityCheck(config.timeout, outward, Effect.succeed(url), [])
      })
    )
})
