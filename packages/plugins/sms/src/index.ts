/**
 * Messages by SMS. `smsSmpp`: straight to an operator's centre by SMPP 3.4. `smsEskiz`, `smsPlayMobile`: by the Uzbek providers of these names.
 */
import { apiVersion, definePlugin, Messenger, type PluginHealth } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SmsEskizConfig } from "./eskiz/config.ts"
import { makeEskizMessenger } from "./eskiz/EskizMessenger.ts"
import { SmsPlayMobileConfig } from "./playmobile/config.ts"
import { makePlayMobileMessenger } from "./playmobile/PlayMobileMessenger.ts"
import { SmsSmppConfig } from "./smpp/config.ts"
import { makeSmppMessenger } from "./smpp/SmppMessenger.ts"

export { SmsEskizConfig } from "./eskiz/config.ts"
export { SmsPlayMobileConfig } from "./playmobile/config.ts"
export { SmsSmppConfig } from "./smpp/config.ts"

/** A messenger that tells how it is. */
interface Watched {
  readonly health?: Effect.Effect<PluginHealth>
}

const watched = () =>
  Effect.flatMap(
    Messenger,
    (messenger) => (messenger as Watched).health ?? Effect.succeed<PluginHealth>({ status: "up" })
  )

/** See `SmsSmppConfig` for its keys. */
export const smsSmpp = definePlugin({
  id: "@mahalla/sms-smpp",
  apiVersion,
  config: SmsSmppConfig,
  provides: [Messenger],
  capabilities: { channel: "sms", receipts: true },
  layer: (config) =>
    Layer.effect(
      Messenger,
      Effect.map(makeSmppMessenger(config), ({ health, messenger }): Messenger["Service"] & Watched => ({
        ...messenger,
        health: Effect.sync(health)
      }))
    ),
  health: watched
})

/** See `SmsEskizConfig` for its keys. */
export const smsEskiz = definePlugin({
  id: "@mahalla/sms-eskiz",
  apiVersion,
  config: SmsEskizConfig,
  provides: [Messenger],
  capabilities: { channel: "sms", receipts: true },
  layer: (config) =>
    Layer.effect(
      Messenger,
      Effect.map(makeEskizMessenger(config), ({ health, messenger }): Messenger["Service"] & Watched => ({
        ...messenger,
        health: health.pipe(
          Effect.as<PluginHealth>({ status: "up" }),
          Effect.catch(({ message }) => Effect.succeed<PluginHealth>({ status: "down", detail: message }))
        )
      }))
    ),
  health: watched
})

/** See `SmsPlayMobileConfig` for its keys. */
export const smsPlayMobile = definePlugin({
  id: "@mahalla/sms-playmobile",
  apiVersion,
  config: SmsPlayMobileConfig,
  provides: [Messenger],
  capabilities: { channel: "sms", receipts: true },
  layer: (config) => Layer.effect(Messenger, makePlayMobileMessenger(config))
})
