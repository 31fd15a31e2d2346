/**
 * Phone credit through Kash: for rewards that are paid to the number that a citizen has signed in with.
 */
import { fileURLToPath } from "node:url"
import { apiVersion, definePlugin, Host, HostCallbacks, HostOutward, Payments, PluginError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { KashConfig } from "./config.ts"
import { makePayments } from "./KashPayments.ts"
import { listen } from "./notices.ts"

export { KashConfig } from "./config.ts"

/** The simulator's program, for tests and for cities in `dev` without a contract; what it takes is in docs/plugins/kash.md. */
export const kashSimulator = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./simulator.ts" : "./simulator.js", import.meta.url)
)

const id = "@mahalla/kash"

/** See `KashConfig` for its keys. */
export const kash = definePlugin({
  id,
  apiVersion,
  config: KashConfig,
  provides: [Payments],
  capabilities: { payees: ["phone"], currency: "UZS" },
  layer: (config) =>
    Layer.effect(
      Payments,
      Effect.gen(function* () {
        const { instance, mode } = yield* Host
        if (mode === "production" && !config.url.startsWith("https:"))
          return yield* new PluginError({
            plugin: id,
            instance,
            reason: "Failed",
            message: `Plugin ${instance} sends nothing in clear in production. Give it an https address.`
          })
        const { callbackSecret } = config
        const notices = callbackSecret === undefined ? undefined : yield* listen(yield* HostCallbacks, callbackSecret)
        return makePayments(config, yield* HostOutward, notices)
      })
    ),
  health: () =>
    Effect.gen(function* () {
      const payments = yield* Payments
      yield* payments.status("00000000-0000-4000-8000-000000000000")
      return { status: "up" } as const
    }).pipe(Effect.catch((error) => Effect.succeed({ status: "down", detail: error.message } as const)))
})
