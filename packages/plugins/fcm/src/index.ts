/** Messages to apps on phones by Firebase Cloud Messaging. */
import { apiVersion, definePlugin, Messenger } from "@mahalla/core/plugin"
import * as Layer from "effect/Layer"
import { FcmConfig } from "./config.ts"
import { makeFcm } from "./FcmMessenger.ts"

export { FcmConfig } from "./config.ts"

/** See `FcmConfig` for its keys. */
export const fcm = definePlugin({
  id: "@mahalla/fcm",
  apiVersion,
  config: FcmConfig,
  provides: [Messenger],
  capabilities: { channel: "push" },
  layer: (config) => Layer.effect(Messenger, makeFcm(config))
})
