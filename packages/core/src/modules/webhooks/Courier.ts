/**
 * Delivers what waits: takes endpoints that are due, a few seconds at a time, sends with many at once and writes down in batches what became of it.
 * Whoever answers at once has places of their own; whoever fails or does not answer shares others, one attempt at a time for each endpoint, so that a
 * thousand dead ones keep nobody waiting. A process that dies loses its lease, and others send again what was not written down.
 */
import { randomUUID } from "node:crypto"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { Erased } from "../../kernel/Erased.ts"
import { withPlatform } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import { dropLease, takeLease } from "../../kernel/leases/lease.ts"
import { type Attempted, makeAttempts, type Sendable } from "./attempt.ts"
import { giveUp } from "./giveUp.ts"
import { conclude, isOver, isWell, type Lane, makeLane, mayBegin, wantedOf } from "./Lane.ts"
import {
  type AttemptRow,
  claimLanes,
  leaseOf,
  type Message,
  readMessages,
  releaseLanes,
  signersOf,
  writeAttempts
} from "./lanes.ts"
import { countAttempt, measure } from "./metrics.ts"
import { isDelivered, isGone } from "./schedule.ts"
import { CourierSignal } from "./Signal.ts"
import { makeTurns } from "./Turns.ts"

/** Endpoints held at once, and attempts under way at once, of those that are well and of the others. */
const places = { well: { lanes: 1_000, attempts: 256 }, ill: { lanes: 256, attempts: 256 } } as const

/** Milliseconds: an endpoint's turn; without an answer until an attempt counts among the slow ones; between looks without a hint, idle and busy. */
const times = { turn: 5_000, late: 500, idle: 1_000, busy: 100 } as const

/** Seconds of the lease, renewed every third of it. */
const leaseFor = 15

/** Milliseconds for attempts under way when the process ends. */
const drain = 5_000

const patiently = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("5 seconds")])

interface Sending {
  readonly lane: Lane
  readonly message: Message
  readonly begun: number
  /** Among the places of those that are well. */
  well: boolean
  late: boolean
}

export interface CourierOptions {
  readonly attempt: (given: Sendable) => Effect.Effect<Attempted>
}

/** Delivers until its scope closes. */
export const makeCourier = ({ attempt }: CourierOptions) =>
  Effect.gen(function* () {
    const holder = randomUUID()
    const clock = yield* Clock.Clock
    const signal = yield* CourierSignal
    const fork = Effect.runForkWith(yield* Effect.context<Erased>())
    const elapsed = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    const now = () => clock.currentTimeMillisUnsafe()
    const lanes = new Map<string, Lane>()
    const [well, ill] = [makeTurns<Lane>(), makeTurns<Lane>()]
    const under = { well: 0, ill: 0 }
    const sending = new Set<Sending>()
    const poked = yield* Queue.sliding<void>(1)
    const written = yield* Queue.sliding<void>(1)
    const poke = () => void Queue.offerUnsafe(poked, undefined)
    const rows: Array<AttemptRow> = []
    let leasedUntil = 0
    let closing = false
    let look = true
    let pumping = false

    /** Puts a lane where its turn comes, if it has one. */
    const place = (lane: Lane) => {
      const ready = mayBegin(lane, now())
      const [there, other] = isWell(lane) ? [well, ill] : [ill, well]
      other.remove(lane)
      if (ready) there.add(lane)
      else there.remove(lane)
    }

    const settle = (one: Sending, exit: Exit.Exit<{ attempted: Attempted; id: string; random: number }>) => {
      const { lane, message } = one
      sending.delete(one)
      under[one.well ? "well" : "ill"]--
      lane.running--
      if (one.late) lane.late--
      if (Exit.isFailure(exit)) {
        // Given back: interrupted, or a fault of ours. It is sent again.
        lane.open.delete(message.eventId)
        lane.ending = true
        if (!Cause.hasInterruptsOnly(exit.cause))
          fork(Effect.logError("Webhooks: an attempt failed by itself", exit.cause))
      } else {
        const { attempted, id, random } = exit.value
        const { failing, row } = conclude(lane, message, attempted, { id, now: now(), random })
        rows.push(row)
        Queue.offerUnsafe(written, undefined)
        if (failing || isGone(attempted)) {
          lane.ending = true
          const because = isGone(attempted) ? "gone" : "failing"
          fork(
            giveUp(lane.tenantId, lane.endpointId, because).pipe(
              Effect.catchCause((cause) => Effect.logError("Webhooks: an endpoint could not be disabled", cause))
            ) as Effect.Effect<void>
          )
        }
      }
      if (lane.ending) lane.waiting = []
      place(lane)
      pump()
      poke()
    }

    const begin = (lane: Lane) => {
      const message = lane.waiting.shift()!
      const isFast = isWell(lane)
      const one: Sending = { lane, message, begun: elapsed(), well: isFast, late: false }
      lane.open.add(message.eventId)
      lane.running++
      under[isFast ? "well" : "ill"]++
      sending.add(one)
      place(lane)
      const { body, eventId } = message
      const work = Effect.gen(function* () {
        const attempted = yield* attempt({ url: lane.url, signers: lane.signers, eventId, body })
        yield* countAttempt(isDelivered(attempted), attempted.took)
        return { attempted, id: yield* newId, random: yield* Random.next }
      })
      fork(work).addObserver((exit) => settle(one, exit))
    }

    /** Begins what may begin. */
    const pump = () => {
      // Attempts may end while they are begun: a loop, not a recursion.
      if (pumping) return
      pumping = true
      for (const [turns, kind] of [
        [well, "well"],
        [ill, "ill"]
      ] as const)
        while (!closing && elapsed() < leasedUntil && under[kind] < places[kind].attempts) {
          const lane = turns.next()
          if (lane === undefined) break
          if (mayBegin(lane, now())) begin(lane)
          else place(lane)
        }
      pumping = false
    }

    /** Who has not been answered for a while gives their place to others, and shares those of the slow. */
    const watch = () => {
      for (const one of sending) {
        if (elapsed() - one.begun < times.late) break
        if (one.late) continue
        one.late = true
        one.lane.late++
        if (one.well) {
          one.well = false
          under.well--
          under.ill++
        }
        place(one.lane)
      }
    }

    const claim = Effect.gen(function* () {
      const at = new Date(now())
      const held = [...lanes.values()]
      const sick = held.filter((lane) => !isWell(lane)).length
      const claimed = yield* withPlatform(
        Effect.gen(function* () {
          const found = [
            ...(yield* claimLanes(holder, false, places.well.lanes - (held.length - sick), at)),
            ...(yield* claimLanes(holder, true, places.ill.lanes - sick, at))
          ]
          return found.length === 0 ? [] : [{ found, signers: yield* signersOf(found, at) }]
        })
      )
      for (const { found, signers } of claimed)
        for (const lane of found)
          lanes.set(lane.endpointId, makeLane(lane, signers.get(lane.endpointId) ?? [], elapsed() + times.turn))
    })

    const read = Effect.gen(function* () {
      const hungry: Array<Lane & { amount: number }> = []
      const wanted = []
      for (const lane of lanes.values()) {
        const amount = wantedOf(lane, elapsed())
        if (amount === 0) continue
        hungry.push(lane as Lane & { amount: number })
        const skip = [...lane.open, ...lane.waiting.map(({ eventId }) => eventId)]
        wanted.push({ tenant_id: lane.tenantId, endpoint_id: lane.endpointId, ordered: lane.ordered, skip, amount })
        if (wanted.length === 100) break
      }
      if (wanted.length === 0) return
      const found = Map.groupBy(
        yield* withPlatform(readMessages(wanted, new Date(now()))),
        ({ endpointId }) => endpointId
      )
      for (const [index, lane] of hungry.entries()) {
        const messages = found.get(lane.endpointId) ?? []
        lane.more = messages.length === wanted[index]!.amount
        // What ended meanwhile begins nothing.
        if (!lane.ending) lane.waiting.push(...messages)
        place(lane)
      }
    })

    const forget = (over: ReadonlyArray<Lane>) => {
      for (const lane of over) {
        lanes.delete(lane.endpointId)
        well.remove(lane)
        ill.remove(lane)
        // Something may have come for it meanwhile, or its turn was over before its messages.
        if (!lane.ending) look = true
      }
    }

    const release = Effect.suspend(() => {
      const over = [...lanes.values()].filter((lane) => isOver(lane, now(), elapsed()))
      return over.length === 0
        ? Effect.void
        : Effect.map(withPlatform(releaseLanes(holder, over, now())), () => forget(over))
    })

    /** Others may have our lanes by now. */
    const lose = () => {
      for (const lane of lanes.values()) {
        lane.ending = true
        lane.waiting = []
        place(lane)
      }
    }

    const turn = Effect.gen(function* () {
      yield* Effect.timeoutOption(Queue.take(poked), sending.size > 0 ? times.busy : times.idle)
      // What ends in the next moments is looked after together; its places are filled without us.
      if (sending.size > 0) yield* Effect.sleep("2 millis")
      watch()
      if (elapsed() >= leasedUntil) return lose()
      if (look) {
        look = false
        yield* claim
      }
      yield* read
      yield* release
      pump()
      if ([...lanes.values()].some((lane) => wantedOf(lane, elapsed()) > 0)) poke()
    }).pipe(
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.interrupt
          : Effect.andThen(
              Effect.logWarning("Webhooks: a turn failed and is tried again", cause),
              Effect.sleep("1 second")
            )
      )
    )

    const write = Effect.gen(function* () {
      yield* Queue.take(written)
      // While more come, a batch may gather.
      if (sending.size > 0 && rows.length < 100) yield* Effect.sleep("3 millis")
      while (rows.length > 0) {
        const batch = rows.splice(0, 500)
        yield* withPlatform(writeAttempts(batch)).pipe(
          Effect.tapError((error) =>
            Effect.logWarning(`Webhooks: ${batch.length} attempts are not written down yet: ${error.message}`)
          ),
          Effect.retry(patiently)
        )
        for (const row of batch) lanes.get(row.endpoint_id)?.open.delete(row.event_id)
        poke()
      }
    })

    const renew = Effect.gen(function* () {
      const from = elapsed()
      if (yield* withPlatform(takeLease(leaseOf(holder), holder, leaseFor))) leasedUntil = from + leaseFor * 1_000
      poke()
    }).pipe(Effect.catch((error) => Effect.logWarning(`Webhooks: the lease could not be renewed: ${error.message}`)))

    yield* renew
    const loops = [
      Effect.forever(turn),
      Effect.forever(write),
      Effect.forever(Effect.andThen(Effect.sleep((leaseFor / 3) * 1_000), renew)),
      Effect.forever(
        Effect.andThen(
          signal.wait(times.idle),
          Effect.sync(() => {
            look = true
            poke()
          })
        )
      ),
      Effect.forever(Effect.andThen(Effect.ignore(measure), Effect.sleep("15 seconds")))
    ].map((loop) => fork(loop))

    yield* Effect.addFinalizer(() =>
      Effect.gen(function* () {
        closing = true
        const end = elapsed() + drain
        yield* Effect.repeat(Effect.sleep("20 millis"), {
          while: () => elapsed() < end && sending.size + rows.length > 0
        })
        for (const loop of loops) loop.interruptUnsafe()
        yield* Effect.ignore(withPlatform(releaseLanes(holder, [...lanes.values()], now())))
        yield* Effect.ignore(withPlatform(dropLease(leaseOf(holder), holder)))
      })
    )
    return { holder }
  })

/** The courier of a process that works. */
export const runCourier = Effect.scoped(
  Effect.gen(function* () {
    const attempt = yield* makeAttempts()
    yield* makeCourier({ attempt })
    return yield* Effect.never
  })
)
