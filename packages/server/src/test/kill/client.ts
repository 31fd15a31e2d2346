/** HTTP as a client that does not give up: it knows what is under way, what failed, and what was acknowledged. */
import { pause } from "./processes.ts"

/** What a request is for; the phases in which a fault can strike from outside. */
export type Phase = "sign-in" | "upload" | "submit" | "decide" | "read"

export interface Flight {
  readonly phase: Phase
  /** Undefined while it is under way. */
  outcome?: "answered" | "refused" | "broken"
}

export interface Reply {
  readonly status: number
  readonly headers: Headers
  // oxlint-disable-next-line typescript/no-explicit-any -- a test looks into whatever came
  readonly body: any
}

/** The city as clients see it; its address stays the same over restarts. */
export class Town {
  url = ""
  /** False between a kill and the next start: clients wait instead of storming a closed port. */
  open = false
  readonly flights = new Set<Flight>()
  /** Answers that no client should ever have got. The test fails with them. */
  readonly surprises: Array<string> = []
  answered = 0

  async ready(): Promise<void> {
    while (!this.open) await pause(20)
  }

  /** One try. Throws when the connection breaks. */
  async send(
    phase: Phase,
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: Uint8Array | string
  ): Promise<Reply> {
    const flight: Flight = { phase }
    this.flights.add(flight)
    try {
      const response = await fetch(`${this.url}${path}`, {
        method,
        headers: { ...headers },
        signal: AbortSignal.timeout(60_000),
        ...(body === undefined ? {} : { body: body as BodyInit })
      })
      const bytes = new Uint8Array(await response.arrayBuffer())
      flight.outcome = response.status >= 500 ? "refused" : "answered"
      if (response.status < 500) this.answered++
      const json = /[/+]json/.test(response.headers.get("content-type") ?? "")
      return {
        status: response.status,
        headers: response.headers,
        body: json ? JSON.parse(Buffer.from(bytes).toString("utf8")) : bytes
      }
    } catch (error) {
      flight.outcome = "broken"
      throw error
    } finally {
      this.flights.delete(flight)
    }
  }

  /** Until the answer is one of `wanted`; broken connections, 5xx and `again` are tried again, anything else is a surprise. */
  async until(
    wanted: ReadonlyArray<number>,
    again: ReadonlyArray<number>,
    request: Parameters<Town["send"]> | (() => Parameters<Town["send"]>)
  ): Promise<Reply & { readonly tries: number }> {
    for (let tries = 1; ; tries++) {
      await this.ready()
      const [phase, method, path, headers, body] = typeof request === "function" ? request() : request
      const reply = await this.send(phase, method, path, headers, body).catch(() => undefined)
      if (reply !== undefined && wanted.includes(reply.status)) return { ...reply, tries }
      if (reply !== undefined && reply.status < 500 && !again.includes(reply.status)) {
        this.surprises.push(`${method} ${path} answered ${reply.status}: ${JSON.stringify(reply.body)}`)
        throw new Error(this.surprises.at(-1))
      }
      await pause(reply?.status === 429 ? 1_000 : 100 + Math.random() * 200)
    }
  }
}
