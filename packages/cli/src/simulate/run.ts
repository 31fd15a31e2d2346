/** Sends as a fleet does until it is told to stop, and says how it goes. */
import type { Output } from "../output.ts"
import { makeFleet, type SimulatedMessage } from "./Fleet.ts"
import type { Registered } from "./register.ts"
import type { Sender } from "./senders.ts"
import type { Tally } from "./Tally.ts"

export interface RunOptions {
  readonly seed: number
  /** Messages per second, of all devices together. */
  readonly rate: number
  /** Until it is aborted. */
  readonly stop: AbortSignal
  readonly now: () => number
  readonly fleet: Registered
  readonly sender: Sender
  readonly tally: Tally
  readonly out: Output
}

export interface RunResult {
  /** Messages, each as often as it was sent. */
  readonly sent: number
  /** Answers; duplicates have their own. */
  readonly acknowledged: number
  /** That the city could not use, and said so. */
  readonly refused: number
  /** Without an answer when the patience was at its end. */
  readonly unanswered: number
  /** Milliseconds from sending to the answer: the middle one and that of the slowest hundredth, of the last answers. */
  readonly middle: number
  readonly slowest: number
  /** Epoch milliseconds at which the first message was made. */
  readonly start: number
}

/** Messages without an answer, at which no more are made. */
const mostOpen = 4_000
/** Milliseconds to wait for the last answers. */
const patience = 60_000

const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds))

export const runFleet = async (options: RunOptions): Promise<RunResult> => {
  const { fleet, now, out, rate, seed, sender, stop, tally } = options
  const start = now()
  const devices = makeFleet(seed, fleet.names.length, start)
  const counted = new WeakSet<SimulatedMessage>()
  const delays = new Float64Array(2_000)
  const count = { sent: 0, acknowledged: 0, refused: 0 }
  let failure: Error | undefined

  const give = (message: SimulatedMessage) => {
    const { at, believable, device, values } = message
    const began = performance.now()
    count.sent++
    sender
      .send(fleet.gatewayOf(device), JSON.stringify({ [fleet.names[device]!]: [{ ts: Math.round(at), values }] }))
      .then(
        (heard) => {
          delays[count.acknowledged % delays.length] = performance.now() - began
          count.acknowledged++
          if (heard === "refused") count.refused++
          else if (believable && !counted.has(message)) {
            counted.add(message)
            tally.add(device, Math.round(at), values)
          }
        },
        (error: Error) => void (failure ??= error)
      )
  }

  const tell = (last: { readonly sent: number; readonly acknowledged: number }, seconds: number) => {
    const memory = Math.round(process.memoryUsage.rss() / 1_048_576)
    const open = count.sent - count.acknowledged
    out.say(
      `${String(Math.round((count.sent - last.sent) / seconds)).padStart(6)} sent/s ${String(Math.round((count.acknowledged - last.acknowledged) / seconds)).padStart(6)} acknowledged/s ${String(open).padStart(6)} open ${String(count.acknowledged).padStart(9)} in all ${String(memory).padStart(5)} MiB`,
      { ...count, open, memory }
    )
  }

  let made = 0
  let told = { ...count, at: performance.now() }
  const began = performance.now()
  while (!stop.aborted && failure === undefined) {
    const due = Math.floor(((performance.now() - began) / 1000) * rate)
    // A city that cannot keep up is not flooded with what it has missed.
    if (due - made > rate) made = due - rate
    for (; made < due && count.sent - count.acknowledged < mostOpen; made++)
      for (const one of devices.next(now())) give(one)
    if (performance.now() - told.at >= 5_000) {
      tell(told, (performance.now() - told.at) / 1000)
      told = { ...count, at: performance.now() }
    }
    await pause(20)
  }
  for (const one of devices.rest()) give(one)
  for (const until = performance.now() + patience; count.sent > count.acknowledged && performance.now() < until;)
    if (failure === undefined) await pause(50)
    else throw failure
  if (failure !== undefined) throw failure
  const last = delays.slice(0, Math.min(count.acknowledged, delays.length)).sort((left, right) => left - right)
  const at = (share: number) => Math.round(last[Math.floor(last.length * share)] ?? 0)
  return { ...count, unanswered: count.sent - count.acknowledged, middle: at(0.5), slowest: at(0.99), start }
}
