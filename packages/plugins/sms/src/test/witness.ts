/**
 * Tells the messages that arrived by our ids, where the wire carries none: each text at a number belongs to the first message of that text
 * that was asked for and is not accounted for yet. What arrives without having been asked for, or twice, has the id `nobody's`.
 */
import type { Message, Messenger } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"

export const witness = (messenger: Messenger["Service"]) => {
  const asked = new Map<string, Message>()
  return {
    messenger: {
      ...messenger,
      send: (message: Message) =>
        Effect.suspend(() => {
          if (!asked.has(message.id)) asked.set(message.id, message)
          return messenger.send(message)
        })
    },
    name: (to: string, texts: ReadonlyArray<string>) => {
      const left = [...asked.values()].filter((message) => message.to === to)
      return texts.map((text) => {
        const index = left.findIndex((message) => message.text === text)
        const [found] = index < 0 ? [] : left.splice(index, 1)
        return { id: found?.id ?? "nobody's", text }
      })
    }
  }
}
