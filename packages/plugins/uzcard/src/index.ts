/**
 * Credits to cards through UzCard: for rewards that are paid to a card which its owner has bound on the gateway's own page.
 */
import { fileURLToPath } from "node:url"
import { apiVersion, definePlugin, Host, HostOutward, Payments, PluginError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { UzcardConfig } from "./config.ts"
import { makePayments } from "./UzcardPayments.ts"

export { UzcardConfig } from "./config.ts"

/** The simulator's program, for tests and for cities in `dev` without a contract; what it takes is in docs/plugins/uzcard.md. */
export const uzcardSimulator = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./simulator.ts" : "./simulator.js", import.meta.url)
)

const id = "@mahalla/uzcard"

/** See `UzcardConfig` for its keys. */
export const uzcard = definePlugin({
  id,
  apiVersion,
  config: UzcardConfig,
  provides: [Payments],
  capabilities: { payees: ["card-token"], currency: "UZS", reverses: true, bindsCards: true },
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
        return makePayments(config, yield* HostOutward, mode)
      })
    ),
  health: () =>
    Effect.gen(function* () {
      const payments = yield* Payments
      yield* payments.status("00000000-0000-4000-8000-000000000000")
      return { status: "up" } as const
    }).pipe(Effect.catch((error) => Effect.succeed({ status: "down", detail: error.message } as const)))
})
