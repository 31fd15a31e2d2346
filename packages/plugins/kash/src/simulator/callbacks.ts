/** Callbacks of the simulated gateway: signed as the contract says, delivered once, or as the schedule of faults wants it. */
import { callbackHeaders, signature } from "../wire.ts"
import { callbackFaults, type Schedule } from "./faults.ts"
import type { Payment } from "./gateway.ts"

export interface Target {
  readonly url: string
  readonly secret: string
}

const stateOf = (payment: Payment) => (payment.state === "waiting" ? "processing" : payment.state)

export const makeCallbacks = (target: Target | undefined, schedule: Schedule, clock: () => number) => {
  const post = async (payment: Payment, state: string, secret: string): Promise<void> => {
    if (target === undefined) return
    const body = JSON.stringify({ id: payment.id, state })
    const timestamp = String(Math.floor((clock() + payment.skew) / 1_000))
    const signed = signature(secret, timestamp, Buffer.from(body))
    await fetch(target.url, {
      method: "POST",
      body,
      headers: {
        "content-type": "application/json",
        [callbackHeaders.timestamp]: timestamp,
        [callbackHeaders.signature]: signed
      },
      signal: AbortSignal.timeout(5_000)
    }).then(
      (response) => response.body?.cancel(),
      () => undefined
    )
  }

  /** Tells of a payment, or fails to; waits for the answer. */
  const tell = async (payment: Payment): Promise<void> => {
    if (target === undefined) return
    const { secret } = target
    const fault = schedule.draw(`callback ${payment.id}`, callbackFaults)
    if (fault === "callback-lost") return
    if (fault === "callback-forged") return post(payment, "done", `${secret}?`)
    await post(payment, stateOf(payment), secret)
    if (fault === "callback-duplicate") await post(payment, stateOf(payment), secret)
    if (fault === "callback-reordered") await post(payment, "processing", secret)
  }
  return { tell }
}
