/** Messages to browsers by Web Push (RFC 8030), encrypted for each (RFC 8291). */
import { apiVersion, definePlugin, Messenger } from "@mahalla/core/plugin"
import * as Layer from "effect/Layer"
import { WebPushConfig } from "./config.ts"
import { makeWebPush } from "./WebPushMessenger.ts"

export { WebPushConfig } from "./config.ts"

/** See `WebPushConfig` for its keys. */
export const webPush = definePlugin({
  id: "@mahalla/webpush",
  apiVersion,
  config: WebPushConfig,
  provides: [Messenger],
  capabilities: { channel: "push" },
  layer: (config) => Layer.effect(Messenger, makeWebPush(config))
})
