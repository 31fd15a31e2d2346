import { Host, type Messenger, type Message, type Plugin } from "@mahalla/core/plugin"
import { randomUUID } from "node:crypto"
import * as Layer from "effect/Layer"

/** The plugin's ports, as the engine opens them. */
export const provided = (plugin: Plugin, home: string, mode: "dev" | "production" = "dev") =>
  plugin.layer.pipe(
    Layer.provide(Layer.succeed(Host, { instance: plugin.instance, home, scratch: home, mode }))
  ) as Layer.Layer<Messenger, unknown>

export const message = (change: Partial<Message> = {}): Message => ({
  id: randomUUID(),
  to: "+998901234567",
  text: "Your report was accepted.",
  language: "en",
  class: "notice",
  ...change
})
