/**
 * A queue inside one process, for tests: the port's promises and nothing else. Its time is Effect's Clock, so a test clock moves it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import { checkQueueMessage, Queue, QueueError, type DeadLetter, type QueueMessage } from "../ports/Queue.ts"

interface Entry {
  readonly message: QueueMessage
  /** In the order of arrival. */
  readonly place: number
  readonly maxAttempts: number
  runAt: number
  key: string | undefined
  attempt: number
  lease: { readonly receipt: string; until: number } | undefined
  dead: { readonly error: string; readonly at: number; readonly place: number } | undefined
}

const keyOf = ({ tenantId, topic, uniqueKey }: QueueMessage) =>
  uniqueKey === undefined ? undefined : JSON.stringify([tenantId, topic, uniqueKey])

/** A Queue in memory. Not transactional. */
export const memoryQueue = (): Layer.Layer<Queue> =>
  Layer.effect(
    Queue,
    Effect.gen(function* () {
      const entries = new Map<string, Entry>()
      const hints = yield* PubSub.sliding<void>(1)
      let places = 0
      const now = Clock.currentTimeMillis
      const give = PubSub.publish(hints, undefined)
      const free = (entry: Entry, at: number) =>
        entry.dead === undefined && (entry.lease === undefined || entry.lease.until <= at)
      const held = (receipt: string) => [...entries.values()].find((entry) => entry.lease?.receipt === receipt)
      const die = (entry: Entry, error: string, at: number) => {
        entry.lease = undefined
        entry.dead = { error, at, place: places++ }
      }
      const letters = (ids: ReadonlyArray<string>) =>
        ids.flatMap((id) => {
          const entry = entries.get(id)
          return entry?.dead === undefined ? [] : [entry]
        })
      return Queue.of({
        transactional: false,
        send: (messages) =>
          Effect.gen(function* () {
            for (const message of messages) {
              const refusal = checkQueueMessage(message)
              if (refusal !== undefined) return yield* refusal
            }
            const at = yield* now
            for (const message of messages) {
              const key = keyOf(message)
              if (entries.has(message.id)) continue
              if (key !== undefined && [...entries.values()].some((entry) => entry.key === key)) continue
              entries.set(message.id, {
                message: { ...message, body: JSON.parse(JSON.stringify(message.body)) as unknown },
                place: places++,
                maxAttempts: message.maxAttempts ?? 12,
                runAt: message.runAt ?? at,
                key,
                attempt: 0,
                lease: undefined,
                dead: undefined
              })
            }
            if (messages.length > 0) yield* give
          }),
        receive: ({ lease, limit, topics }) =>
          Effect.map(now, (at) => {
            const wanted = new Set(topics)
            const due = [...entries.values()]
              .filter((entry) => wanted.has(entry.message.topic) && entry.runAt <= at && free(entry, at))
              .sort(
                (a, b) =>
                  (b.message.priority ?? 0) - (a.message.priority ?? 0) || a.runAt - b.runAt || a.place - b.place
              )
              .slice(0, limit)
            return due.flatMap((entry) => {
              if (entry.attempt >= entry.maxAttempts) {
                die(entry, "lease expired", at)
                return []
              }
              const receipt = `${entry.message.id}/${places++}`
              entry.attempt++
              entry.key = undefined
              entry.lease = { receipt, until: at + lease }
              const { body, id, tenantId, topic } = entry.message
              return [{ id, tenantId, topic, body, attempt: entry.attempt, maxAttempts: entry.maxAttempts, receipt }]
            })
          }),
        wakeups: Stream.fromPubSub(hints),
        extend: (receipts, lease) =>
          Effect.map(now, (at) =>
            receipts.filter((receipt) => {
              const entry = held(receipt)
              if (entry?.lease === undefined) return false
              entry.lease.until = at + lease
              return true
            })
          ),
        complete: (receipts) =>
          Effect.sync(() => {
            for (const receipt of receipts) {
              const entry = held(receipt)
              if (entry !== undefined) entries.delete(entry.message.id)
            }
          }),
        retry: (receipt, { delay, error }) =>
          Effect.map(now, (at) => {
            const entry = held(receipt)
            if (entry === undefined) return
            if (entry.attempt >= entry.maxAttempts) return die(entry, error, at)
            entry.lease = undefined
            entry.runAt = at + delay
          }),
        release: (receipts) =>
          Effect.andThen(
            Effect.sync(() => {
              for (const receipt of receipts) {
                const entry = held(receipt)
                if (entry === undefined) continue
                entry.lease = undefined
                entry.attempt--
              }
            }),
            give
          ),
        bury: (receipt, error) =>
          Effect.map(now, (at) => {
            const entry = held(receipt)
            if (entry !== undefined) die(entry, error, at)
          }),
        deadLetters: ({ cursor, limit = 50, tenantId, topic }) =>
          Effect.gen(function* () {
            const before = cursor === undefined ? Infinity : Number(cursor)
            if (Number.isNaN(before))
              return yield* new QueueError({
                reason: "InvalidMessage",
                operation: "deadLetters",
                subject: "cursor",
                message: "The cursor is not one that this list gave. Begin without a cursor.",
                retryable: false
              })
            const found = [...entries.values()]
              .flatMap(({ attempt, dead, message }) => (dead === undefined ? [] : [{ attempt, dead, message }]))
              .filter(
                ({ dead, message }) =>
                  dead.place < before &&
                  (tenantId === undefined || message.tenantId === tenantId) &&
                  (topic === undefined || message.topic === topic)
              )
              .sort((a, b) => b.dead.place - a.dead.place)
            const page = found.slice(0, limit)
            const items = page.map(({ attempt, dead, message }): DeadLetter => ({
              id: message.id,
              tenantId: message.tenantId,
              topic: message.topic,
              body: message.body,
              attempts: attempt,
              error: dead.error,
              diedAt: dead.at
            }))
            const last = page.at(-1)
            return found.length > page.length && last !== undefined
              ? { items, cursor: String(last.dead.place) }
              : { items }
          }),
        replay: (ids) =>
          Effect.gen(function* () {
            const at = yield* now
            const found = letters(ids)
            for (const entry of found) {
              entry.dead = undefined
              entry.attempt = 0
              entry.runAt = at
            }
            yield* give
            return found.length
          }),
        discard: (ids) =>
          Effect.sync(() => {
            const found = letters(ids)
            for (const { message } of found) entries.delete(message.id)
            return found.length
          }),
        depth: Effect.map(now, (at) =>
          [...Map.groupBy(entries.values(), ({ message }) => message.topic)].map(([topic, all]) => {
            const open = all.filter((entry) => free(entry, at))
            const ready = open.filter(({ runAt }) => runAt <= at)
            const dead = all.filter((entry) => entry.dead !== undefined)
            return {
              topic,
              ready: ready.length,
              delayed: open.length - ready.length,
              leased: all.length - open.length - dead.length,
              dead: dead.length,
              oldestReady: Math.max(0, ...ready.map(({ runAt }) => at - runAt))
            }
          })
        )
      })
    })
  )
