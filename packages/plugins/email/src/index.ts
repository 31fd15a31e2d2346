/** Messages by e-mail, through any SMTP server. */
import { apiVersion, definePlugin, Host, Messenger } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { listenForBounces } from "./bounces.ts"
import { EmailConfig } from "./config.ts"
import { makeMessenger } from "./SmtpMessenger.ts"

export { EmailConfig } from "./config.ts"

/** See `EmailConfig` for its keys. */
export const email = definePlugin({
  id: "@mahalla/email",
  apiVersion,
  config: EmailConfig,
  provides: [Messenger],
  capabilities: { channel: "email" },
  layer: (config) =>
    Layer.effect(
      Messenger,
      Effect.gen(function* () {
        const { home, instance } = yield* Host
        const bounces =
          config.bounces === undefined ? undefined : yield* listenForBounces(config.bounces, home, instance)
        return (yield* makeMessenger(config, bounces)).messenger
      })
    ),
  health: (config) =>
    Effect.flatMap(makeMessenger(config), ({ verify }) => verify).pipe(
      Effect.as({ status: "up" } as const),
      Effect.catch((error) => Effect.succeed({ status: "down", detail: error.message } as const))
    )
})
