/**
 * What a worker holds leases on: the jobs that wait for a place, those that run, and those whose end the queue has not heard yet.
 */
import type * as Fiber from "effect/Fiber"
import type { Delivery } from "../../ports/Queue.ts"

export interface Held {
  readonly delivery: Delivery
  /** When it came, and until when it is surely ours; milliseconds of a clock that is never set. */
  readonly arrived: number
  until: number
  /** `telling`: the queue is being told how the try ended; `done`: completed with the next batch. */
  state: "waiting" | "running" | "telling" | "done"
  begun: number
  fiber: Fiber.Fiber<void, unknown> | undefined
  /** Why we stopped it. */
  stopped: "lost" | "timeout" | "drain" | undefined
}

export interface Ledger {
  readonly all: () => Iterable<Held>
  readonly count: (state: Held["state"]) => number
  /** Waiting or running of one topic. */
  readonly ofTopic: (topic: string) => number
  readonly add: (delivery: Delivery, arrived: number, until: number) => void
  /** The next one to begin, in the order of arrival. */
  readonly next: () => Held | undefined
  readonly move: (held: Held, state: Held["state"]) => void
  readonly forget: (held: Held) => void
  /** Ends that wait for their batch; empties the list. */
  readonly takeDone: (atMost: number) => ReadonlyArray<Held>
}

export const makeLedger = (): Ledger => {
  const all = new Map<string, Held>()
  const counts = { waiting: 0, running: 0, telling: 0, done: 0 }
  const topics = new Map<string, number>()
  let waiting: Array<Held> = []
  let head = 0
  let done: Array<Held> = []
  const active = (state: Held["state"]) => state === "waiting" || state === "running"
  const count = (topic: string, step: number) => topics.set(topic, (topics.get(topic) ?? 0) + step)
  const move = (held: Held, state: Held["state"]) => {
    counts[held.state]--
    counts[state]++
    if (active(held.state) && !active(state)) count(held.delivery.topic, -1)
    held.state = state
    if (state === "done") done.push(held)
  }
  return {
    all: () => all.values(),
    count: (state) => counts[state],
    ofTopic: (topic) => topics.get(topic) ?? 0,
    add: (delivery, arrived, until) => {
      const held: Held = { delivery, arrived, until, state: "waiting", begun: 0, fiber: undefined, stopped: undefined }
      all.set(delivery.receipt, held)
      waiting.push(held)
      counts.waiting++
      count(delivery.topic, 1)
    },
    next: () => {
      for (; head < waiting.length;) {
        const held = waiting[head++]
        // Those that were given up meanwhile are still in the list.
        if (held?.state === "waiting" && all.has(held.delivery.receipt)) return held
      }
      waiting = []
      head = 0
      return undefined
    },
    move,
    forget: (held) => {
      if (!all.delete(held.delivery.receipt)) return
      counts[held.state]--
      if (active(held.state)) count(held.delivery.topic, -1)
    },
    takeDone: (atMost) => {
      const batch = done.slice(0, atMost)
      done = done.slice(atMost)
      return batch
    }
  }
}
