/**
 * The simulated authority's HTTP face; the protocol is written down in docs/plugins/asbt.md. `/v1` is the authority, `/sandbox` the hand on
 * its other side.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { isRecent, isSame, signAnswer, signed, signRequest } from "../signing.ts"
import type { Book, Entry, Fine, Plan } from "./book.ts"
import { makeCaller } from "./caller.ts"
import {
  decisionFaults,
  fileFaults,
  type FileFault,
  isFaultName,
  type Schedule,
  statusFaults,
  type FaultRates
} from "./faults.ts"

export interface Options {
  readonly book: Book
  readonly schedule: Schedule
  readonly secret: string
  /** Milliseconds after which it decides by itself; 0: never. */
  readonly decide: number
  /** Milliseconds until what is late is there. */
  readonly late: number
  /** Milliseconds by which a slow answer is late. */
  readonly slow: number
  /** Epoch milliseconds. */
  readonly clock: () => number
}

const maxBody = 64 * 1024
const page = "<!doctype html><title>502</title><p>The gateway has nothing behind it.</p>"
const other = "00000000-0000-4000-8000-000000000000"

const bytesOf = async (request: IncomingMessage): Promise<string | undefined> => {
  const parts: Array<Buffer> = []
  let size = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length
    if (size > maxBody) return undefined
    parts.push(part)
  }
  return Buffer.concat(parts).toString("utf8")
}

const parse = (text: string): Record<string, unknown> => {
  try {
    return (JSON.parse(text) ?? {}) as Record<string, unknown>
  } catch {
    return {}
  }
}

const isNumber = (value: unknown): value is string =>
  typeof value === "string" && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)

/** What must be the same in a filing that is sent again; undefined where it is none. */
const bodyOf = (given: Record<string, unknown>): string | undefined => {
  const { article, evidence, kind, number, occurredAt, offence, place, vehicle } = given
  const { country, plate } = (vehicle ?? {}) as Record<string, unknown>
  const files = Array.isArray(evidence) ? (evidence as ReadonlyArray<Record<string, unknown>>) : []
  const fit =
    isNumber(number) &&
    kind === "traffic-violation" &&
    typeof offence === "string" &&
    typeof article === "string" &&
    typeof plate === "string" &&
    /^[A-Z0-9]{2,12}$/.test(plate) &&
    typeof occurredAt === "string" &&
    !Number.isNaN(Date.parse(occurredAt)) &&
    files.length > 0 &&
    files.every(({ sha256, url }) => /^[0-9a-f]{64}$/.test(String(sha256)) && URL.canParse(String(url)))
  return fit
    ? JSON.stringify([kind, offence, article, plate, country, occurredAt, place, files.map(({ sha256 }) => sha256)])
    : undefined
}

const answerOf = (entry: Entry): Record<string, unknown> =>
  entry.state === "rejected"
    ? { number: entry.number, result: "rejected", code: "incomplete", text: "The plate cannot be seen." }
    : { number: entry.number, result: "accepted", docket: entry.docket }

const statusOf = ({ decidedAt, decisions, docket, fine, number, state, verdict }: Entry): Record<string, unknown> => {
  switch (state) {
    case "rejected":
      return { number, status: "rejected", code: "incomplete", text: "The plate cannot be seen." }
    case "decided":
      return {
        ...{ number, status: "decided", verdict, decision: `${docket}/${decisions}` },
        decidedAt: new Date(decidedAt).toISOString(),
        ...(fine === undefined ? {} : { fine })
      }
    default:
      return { number, status: state, docket }
  }
}

export const makeServer = (options: Options): Server & { readonly tick: () => void } => {
  const { book, clock, schedule, secret } = options
  const caller = makeCaller(options)
  /** How often each number was sent to us, answered or not. */
  const asked = new Map<string, number>()
  /** Everything is answered by something in between. */
  let closed = false

  const tell = (number: string, event: string) => caller.tell(number, book.entries.get(number)?.callback, event)

  const send = (
    response: ServerResponse,
    status: number,
    body: unknown,
    headers: Record<string, string> = {},
    key = secret
  ) => {
    const text = JSON.stringify(body)
    const request = String(response.req.headers[signed.signature] ?? "")
    response.writeHead(status, {
      "content-type": "application/json",
      [signed.signature]: signAnswer(key, request, status, text),
      ...headers
    })
    response.end(text)
  }

  const refuse = (response: ServerResponse, status: number, code: string, number?: unknown) =>
    send(
      response,
      status,
      { ...(isNumber(number) ? { number } : {}), error: { code } },
      status === 429 ? { "retry-after": "1" } : {}
    )

  const html = (response: ServerResponse, status: number) =>
    response.writeHead(status, { "content-type": "text/html" }).end(page)

  const planOf = (number: string, fault: FileFault | undefined, now: number): Plan => {
    const decision = schedule.draw(`decision ${number}`, decisionFaults)
    return {
      verdict: decision === "dismissed" ? "no-violation" : "fine",
      ...(fault === "late" ? { hiddenUntil: now + options.late } : {}),
      ...(options.decide === 0 ? {} : { decideAt: now + options.decide }),
      ...(decision === "reversed" ? { reverseAt: now + 2 * options.decide } : {})
    }
  }

  /** Answers as the fault wants it; without a fault, plainly. */
  const answer = (response: ServerResponse, body: Record<string, unknown>, fault: string | undefined) => {
    switch (fault) {
      case "lost-after":
      case "late":
      case "status-lost":
        return void response.socket?.resetAndDestroy()
      case "slow":
        return void setTimeout(() => send(response, 200, body), options.slow).unref()
      case "malformed":
      case "status-malformed": {
        const text = JSON.stringify(body).slice(0, -9)
        const request = String(response.req.headers[signed.signature] ?? "")
        response.writeHead(200, { [signed.signature]: signAnswer(secret, request, 200, text) })
        return void response.end(text)
      }
      case "wrong-content":
        return void html(response, 200)
      case "wrong-number":
      case "status-wrong-number":
        return send(response, 200, { ...body, number: other })
      case "error-body":
        return send(response, 200, { number: body["number"], error: { code: "internal" } })
      case "forged":
        return send(response, 200, body, {}, "somebody else's secret, which is long enough")
      default:
        return send(response, 200, body)
    }
  }

  const file = (given: Record<string, unknown>, response: ServerResponse) => {
    const { callback, number } = given
    const body = bodyOf(given)
    if (isNumber(number)) asked.set(number, (asked.get(number) ?? 0) + 1)
    if (body === undefined || !isNumber(number)) return refuse(response, 400, "invalid", number)
    const fault = schedule.draw(number, fileFaults)
    if (fault === "rate-limited") return refuse(response, 429, fault, number)
    if (fault === "unavailable") return refuse(response, 503, fault, number)
    if (fault === "server-error") return void html(response, 502)
    if (fault === "lost-before") return void response.socket?.destroy()
    const now = clock()
    const isNew = !book.entries.has(number)
    const entry = book.take(
      fault === "refused" ? "rejected" : "filed",
      { number, body, at: now, sent: given, ...(typeof callback === "string" ? { callback } : {}) },
      planOf(number, fault, now)
    )
    if (entry === "reused") return refuse(response, 409, "number-reused", number)
    if (isNew && schedule.draw(`early ${number}`, ["callback-early"]) !== undefined) tell(number, "registered")
    return answer(response, answerOf(entry), fault)
  }

  const status = ({ number }: Record<string, unknown>, response: ServerResponse) => {
    if (!isNumber(number)) return refuse(response, 400, "invalid")
    const fault = schedule.draw(`status ${number}`, statusFaults)
    if (fault === "status-unavailable") return refuse(response, 503, "unavailable", number)
    const entry = book.find(number, clock())
    return entry === undefined ? refuse(response, 404, "not-found", number) : answer(response, statusOf(entry), fault)
  }

  const setFaults = ({ next, rates }: Record<string, unknown>) => {
    const wrong = [...Object.keys(rates ?? {}), ...((next ?? []) as ReadonlyArray<unknown>)].some(
      (name) => !isFaultName(name)
    )
    if (wrong) return false
    if (rates !== undefined) schedule.rates = rates as FaultRates
    if (next !== undefined) schedule.next.splice(0, Infinity, ...(next as ReadonlyArray<unknown>).filter(isFaultName))
    return true
  }

  const admin = (path: string, given: Record<string, unknown>, response: ServerResponse) => {
    const { fine, number } = given
    const known = isNumber(number) ? book.entries.get(number) : undefined
    switch (path) {
      case "effects":
        return send(
          response,
          200,
          Object.fromEntries(
            [...new Set([...book.entries.keys(), ...asked.keys()])].map((id) => [
              id,
              { effects: book.entries.get(id)?.effects ?? 0, asked: asked.get(id) ?? 0 }
            ])
          )
        )
      case "callbacks":
        return send(response, 200, caller.heard)
      case "faults":
        return setFaults(given) ? send(response, 200, {}) : refuse(response, 400, "invalid")
      case "outage":
        closed = given["closed"] === true
        return send(response, 200, { closed })
      case "settle":
        book.reveal()
        return send(response, 200, {})
      case "review":
      case "decisions":
        if (known === undefined) return refuse(response, 404, "not-found", number)
        if (path === "review") book.review(known.number)
        else book.decide(known.number, clock(), fine === undefined ? "no-violation" : "fine", fine as Fine | undefined)
        tell(known.number, path === "review" ? "review" : "decided")
        return send(response, 200, {})
      default:
        return refuse(response, 404, "no-such-path")
    }
  }

  const route = async (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url ?? "/"
    const text = await bytesOf(request)
    if (text === undefined) return refuse(response, 413, "too-large")
    if (path.startsWith("/sandbox/")) return admin(path.slice("/sandbox/".length), parse(text), response)
    if (closed) return void html(response, 502)
    const { [signed.signature]: signature, [signed.timestamp]: timestamp = "" } = request.headers as Record<
      string,
      string | undefined
    >
    if (!isRecent(timestamp, clock()) || !isSame(signRequest(secret, timestamp, path, text), signature))
      return refuse(response, 401, "unauthorized")
    if (path === "/v1/violations") return file(parse(text), response)
    if (path === "/v1/violations/status") return status(parse(text), response)
    if (path === "/v1/ping") return send(response, 200, {})
    return refuse(response, 404, "no-such-path")
  }

  const server = createServer((request, response) => {
    route(request, response).catch((error: unknown) => {
      // A book that cannot be written must not be answered from: the next start reads what is really on the disk.
      process.stderr.write(`${String(error)}\n`)
      process.exit(1)
    })
  })
  return Object.assign(server, {
    tick: () => {
      for (const number of book.settle(clock())) tell(number, "decided")
    }
  })
}
