/**
 * Messages that stay: a new town, a demonstration or a developer reads them in the console or with the command line, instead of paying
 * for SMS on the first day.
 */
import { definePlugin, Host, Messenger } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { OutboxConfig } from "./config.ts"
import { makeMessenger } from "./OutboxMessenger.ts"

export { OutboxConfig } from "./config.ts"
export { readOutbox } from "./readOutbox.ts"

export const outboxMessenger = definePlugin({
  id: "@mahalla/outbox-messenger",
  apiVersion: 1,
  config: OutboxConfig,
  provides: [Messenger],
  capabilities: { channel: "outbox" },
  layer: (config) =>
    Layer.effect(
      Messenger,
      Effect.flatMap(Host, (host) => makeMessenger(host.home, host.mode, config))
    ),
  health: () =>
    Effect.gen(function* () {
      const { outbox } = yield* Messenger
      yield* outbox?.({ limit: 1 }) ?? Effect.void
      return { status: "up" } as const
    }).pipe(Effect.catch((error) => Effect.succeed({ status: "down", detail: error.message } as const)))
})
