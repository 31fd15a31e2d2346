import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "vitest"
import { Queue, type Delivery, type QueueMessage } from "../ports/Queue.ts"
import { memoryQueue } from "./Queue.memory.ts"
import { QueueControl, queueSuite } from "./Queue.suite.ts"

const control = Layer.succeed(QueueControl, { cut: Effect.void })

queueSuite.run({ describe, it }, { name: "memory", layer: Layer.merge(memoryQueue(), control) })

type Service = Queue["Service"]
type Break = (service: Service) => Partial<Service>

/** The fake in memory with one thing spoiled. */
const broken = (spoil: Break) =>
  Layer.effectContext(
    Effect.map(Queue, (service) =>
      Context.make(Queue, Queue.of({ ...service, ...spoil(service) })).pipe(
        Context.add(QueueControl, { cut: Effect.void })
      )
    )
  ).pipe(Layer.provide(memoryQueue()))

const onSend =
  (change: (message: QueueMessage) => QueueMessage): Break =>
  (service) => ({ send: (messages) => service.send(messages.map(change)) })
const onReceive =
  (change: (got: ReadonlyArray<Delivery>) => ReadonlyArray<Delivery>): Break =>
  (service) => ({ receive: (request) => Effect.map(service.receive(request), change) })
const renamed = (message: QueueMessage): QueueMessage => ({ ...message, id: crypto.randomUUID() })
const without = <K extends keyof QueueMessage>(key: K) =>
  onSend((message) => {
    const { [key]: _, ...rest } = message
    return rest as QueueMessage
  })
const once = () => {
  const seen = new Set<string>()
  return (id: string) => !seen.has(id) && seen.add(id) !== undefined
}

const breaks: Record<string, Break> = {
  "delivers what was sent": onReceive((got) => got.map((delivery) => ({ ...delivery, attempt: 0 }))),
  "carries any JSON value unchanged": onReceive((got) =>
    got.map((delivery) => ({ ...delivery, body: delivery.body === null ? {} : delivery.body }))
  ),
  "keeps one of two messages of the same id": onSend(renamed),
  "takes thousands in one call": (service) => ({ send: (messages) => service.send(messages.slice(0, 1_000)) }),
  "refuses what is no message, and sends nothing of that call": (service) => ({
    send: (messages) => Effect.forEach(messages, (message) => service.send([message]), { discard: true })
  }),
  "does nothing for empty lists": (service) => ({
    extend: (receipts, lease) =>
      Effect.map(service.extend(receipts, lease), (kept) => (kept.length === 0 ? ["?"] : kept))
  }),
  "gives only the topics that were asked for, and no more than the limit": (service) => ({
    receive: (request) => service.receive({ ...request, limit: request.limit + 1 })
  }),
  "returns at once when nothing is ready": (service) => ({
    receive: (request) =>
      Effect.tap(service.receive(request), (got) => (got.length === 0 ? Effect.sleep("1 second") : Effect.void))
  }),
  "gives higher priority first, then the earlier one": without("priority"),
  "gives nothing before its time": without("runAt"),
  "keeps one waiting message of a tenant, topic and key": without("uniqueKey"),
  "frees a key once a try has started": (service) => {
    const first = once()
    return {
      send: (messages) => service.send(messages.filter(({ uniqueKey }) => uniqueKey === undefined || first(uniqueKey)))
    }
  },
  "hints soon after a message was sent": () => ({ wakeups: Stream.never }),
  "works on after a lost connection, and hints again": (service) => ({ wakeups: Stream.take(service.wakeups, 1) }),
  "gives no message to two at the same time": (service) => {
    let last: ReadonlyArray<Delivery> = []
    return {
      receive: (request) =>
        Effect.map(service.receive(request), (got) => {
          const doubled = [...got, ...last.slice(0, 1)]
          last = got
          return doubled
        })
    }
  },
  "gives a message again when its lease has run out, and counts the try": onReceive((got) =>
    got.map((delivery) => ({ ...delivery, attempt: 1 }))
  ),
  "keeps a lease that is prolonged, and tells which are lost": (service) => ({
    extend: (receipts) => Effect.map(service.extend(receipts, 0), () => receipts)
  }),
  "forgets what is completed": () => ({ complete: () => Effect.void }),
  "ignores the receipts of a lost lease": (service) => {
    const newest = new Map<string, string>()
    return {
      receive: (request) =>
        Effect.tap(service.receive(request), (got) =>
          Effect.sync(() => {
            for (const { id, receipt } of got) newest.set(id, receipt)
          })
        ),
      complete: (receipts) =>
        service.complete(receipts.map((receipt) => newest.get(receipt.split("/")[0] ?? "") ?? receipt))
    }
  },
  "gives a message again after the delay of its retry": (service) => ({
    retry: (receipt, options) => service.retry(receipt, { ...options, delay: 0 })
  }),
  "takes back a released message without counting the try": (service) => ({
    release: (receipts) =>
      Effect.forEach(receipts, (receipt) => service.retry(receipt, { delay: 0, error: "released" }), { discard: true })
  }),
  "tells how many messages are ready, delayed, leased and dead": (service) => ({
    depth: Effect.map(service.depth, (topics) =>
      topics.map((topic) => ({ ...topic, ready: topic.ready + topic.delayed, delayed: 0 }))
    )
  }),
  "makes a dead letter when the tries are used up": onSend((message) => ({ ...message, maxAttempts: 3 })),
  "makes a dead letter when the lease of the last try runs out": (service) => {
    const tries = new Map<string, number>()
    return {
      send: (messages) => service.send(messages.map((message) => ({ ...message, maxAttempts: 100 }))),
      receive: (request) =>
        Effect.map(service.receive(request), (got) =>
          got.filter(({ id }) => {
            const count = (tries.get(id) ?? 0) + 1
            tries.set(id, count)
            return count === 1
          })
        )
    }
  },
  "buries at once": (service) => ({ bury: (receipt, error) => service.retry(receipt, { delay: 0, error }) }),
  "lists dead letters newest first, in pages, of one tenant or topic": (service) => ({
    deadLetters: (request) =>
      Effect.map(service.deadLetters(request), (page) => ({ ...page, items: page.items.toReversed() }))
  }),
  "replays a dead letter with all its tries": (service) => ({
    replay: (ids) => Effect.map(service.discard(ids), () => ids.length)
  }),
  "discards a dead letter for good": (service) => ({ discard: (ids) => service.replay(ids) })
}

describe("Queue: a broken fake for each rule", () => {
  it("covers every rule", () => {
    expect(Object.keys(breaks).sort()).toEqual(queueSuite.rules.map(({ name }) => name).sort())
  })
  for (const [rule, spoil] of Object.entries(breaks))
    it.concurrent(`${rule}`, async () => {
      expect(await queueSuite.verdict(rule, broken(spoil))).toBe("broken")
    })
})
