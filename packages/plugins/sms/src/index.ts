/** Messages by SMS. `smsSmpp`: straight to an operator's centre by SMPP 3.4. */
import { apiVersion, definePlugin, Messenger, type PluginHealth } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SmsSmppConfig } from "./smpp/config.ts"
import { makeSmppMessenger } from "./smpp/SmppMessenger.ts"

export { SmsSmppConfig } from "./smpp/config.ts"

/** A messenger that tells how it is. */
interface Watched {
  readonly health?: () => PluginHealth
}

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
        health
      }))
    ),
  health: () => Effect.map(Messenger, (messenger) => (messenger as Watched).health?.() ?? { status: "up" })
})
