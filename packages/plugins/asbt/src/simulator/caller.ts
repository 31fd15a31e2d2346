/** The authority's word to us when something has changed: signed, said again until it is heard, and with the faults of such words. */
import { signCallback, signed } from "../signing.ts"
import { callbackFaults, type Schedule } from "./faults.ts"

/** Milliseconds between tries, and behind the next ones. */
const pause = 500
const mostTries = 5

export interface Caller {
  readonly tell: (number: string, url: string | undefined, event: string) => void
  /** Answers that callbacks have got, oldest first. */
  readonly heard: Array<{ readonly number: string; readonly status: number }>
}

export const makeCaller = (options: {
  readonly secret: string
  readonly schedule: Schedule
  readonly clock: () => number
}): Caller => {
  const { clock, schedule, secret } = options
  const heard: Array<{ number: string; status: number }> = []

  const send = async (number: string, url: string, body: string, headers: Record<string, string>): Promise<number> => {
    try {
      const response = await fetch(url, {
        method: "POST",
        body,
        headers: { "content-type": "application/json", ...headers },
        redirect: "error",
        signal: AbortSignal.timeout(5_000)
      })
      await response.body?.cancel()
      heard.push({ number, status: response.status })
      return response.status
    } catch {
      return 0
    }
  }

  const headersOf = (body: string, key = secret): Record<string, string> => {
    const timestamp = String(Math.floor(clock() / 1_000))
    return { [signed.timestamp]: timestamp, [signed.signature]: signCallback(key, timestamp, body) }
  }

  const insist = async (number: string, url: string, body: string, headers: Record<string, string>) => {
    for (let tries = 0; tries < mostTries; tries++) {
      const status = await send(number, url, body, headers)
      if (status >= 200 && status < 300) return
      await new Promise((done) => setTimeout(done, pause).unref())
    }
  }

  return {
    heard,
    tell: (number, url, event) => {
      if (url === undefined) return
      const fault = schedule.draw(`callback ${number}`, callbackFaults)
      const body = JSON.stringify({ number, event })
      const headers = headersOf(body)
      switch (fault) {
        case "callback-lost":
          return
        case "callback-forged":
          return void send(number, url, body, headersOf(body, "somebody else's secret, which is long enough"))
        case "callback-duplicate":
        case "callback-replayed":
          return void insist(number, url, body, headers)
            .then(() => insist(number, url, body, fault === "callback-replayed" ? headers : headersOf(body)))
            .then(() => insist(number, url, body, fault === "callback-replayed" ? headers : headersOf(body)))
        case "callback-reordered":
          return void setTimeout(() => void insist(number, url, body, headersOf(body)), 4 * pause).unref()
        default:
          return void insist(number, url, body, headers)
      }
    }
  }
}
