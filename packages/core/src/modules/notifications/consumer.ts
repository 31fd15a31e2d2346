/** Hears every event and writes down who is to hear of it, at once or in their next digest; sending is a job. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Consumer } from "../../kernel/events/Consumer.ts"
import type { StoredEvent } from "../../kernel/events/Event.ts"
import type { Erased } from "../../kernel/Erased.ts"
import { cityFacts } from "./city.ts"
import { keepForDigest } from "./digests.ts"
import { listenersOf } from "./listeners.ts"
import { newsOf } from "./news.ts"
import { type Plan, tell } from "./plan.ts"
import { wordsOfTemplate } from "./templates.ts"

/** Minutes. */
const usual = { wait: 5, expires: 4_320 }

const tellOf = Effect.fn("notifications.tell")(function* (event: StoredEvent) {
  if (event.caseId === null) return
  const city = yield* cityFacts
  const told = new Set<string>()
  for (const { people, rule, values } of yield* newsOf(event, event.caseId, city)) {
    const { category, channels, expires = usual.expires, mode, template, urgency, wait = usual.wait } = rule.definition
    const listeners = (yield* listenersOf(people)).filter(({ id }) => !told.has(id))
    if (listeners.length === 0) continue
    const plan: Plan = {
      source: "event",
      eventId: event.id,
      caseId: event.caseId,
      category,
      urgency,
      channels,
      mode,
      wait: wait * 60,
      expiresAt: new Date((yield* Clock.currentTimeMillis) + expires * 60_000),
      words: yield* wordsOfTemplate(template),
      values
    }
    const later = urgency === "digest" ? listeners.filter(({ digest }) => digest !== "immediately") : []
    yield* keepForDigest(later, plan, city)
    yield* tell(
      listeners.filter((person) => !later.includes(person)),
      plan,
      city
    )
    for (const { id } of listeners) told.add(id)
  }
})

/** Every event of every case type; the city's rules decide. */
export const notificationsConsumer = (types: ReadonlyArray<string>): Consumer<unknown, Erased> => ({
  id: "notifications",
  types,
  handle: tellOf
})
