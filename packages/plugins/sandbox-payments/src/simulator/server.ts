/**
 * The simulated rail's HTTP face; the protocol is written down in docs/plugins/sandbox-payments.md. `/v1` is the rail, `/sandbox` the
 * hand on its other side.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { Book, Body, Payment } from "./book.ts"
import { isFaultName, type FaultRates, type PayFault, type Schedule } from "./faults.ts"

export interface Options {
  readonly book: Book
  readonly schedule: Schedule
  /** The data file, so that a client can tell whose simulator this is. */
  readonly data: string
  readonly currency: string
  /** Milliseconds until what is pending or late happens. */
  readonly settle: number
  /** Milliseconds by which a slow answer is late. */
  readonly slow: number
  /** Epoch milliseconds. */
  readonly clock: () => number
  /** Called at every request. */
  readonly onRequest: () => void
}

const maxBody = 16 * 1024
const day = 86_400_000

const send = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) => {
  response.writeHead(status, { "content-type": "application/json", ...headers })
  response.end(JSON.stringify(body))
}

const refuse = (response: ServerResponse, status: number, code: string, message: string, id?: string) =>
  send(
    response,
    status,
    { ...(id === undefined ? {} : { id }), error: { code, message } },
    status === 429 ? { "retry-after": "1" } : {}
  )

const readJson = async (request: IncomingMessage): Promise<unknown> => {
  const parts: Array<Buffer> = []
  let size = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length
    if (size > maxBody) return undefined
    parts.push(part)
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString("utf8"))
  } catch {
    return undefined
  }
}

const readBody = (input: unknown, currency: string): Body | undefined => {
  const { payee, money, memo } = (input ?? {}) as Partial<Body>
  const fit =
    typeof payee?.kind === "string" &&
    typeof payee.value === "string" &&
    typeof memo === "string" &&
    typeof money?.amount === "string" &&
    /^[1-9]\d{0,17}$/.test(money.amount) &&
    money.currency === currency
  return fit
    ? { payee: { kind: payee.kind, value: payee.value }, money: { amount: money.amount, currency }, memo }
    : undefined
}

const answerOf = (payment: Payment) =>
  payment.state === "paid"
    ? { id: payment.id, state: "succeeded", reference: payment.reference }
    : payment.state === "failed"
      ? { id: payment.id, state: "failed", code: "declined", message: "The payee's operator declined the payment." }
      : { id: payment.id, state: "pending" }

/** Answers as the fault wants it; without a fault, plainly. */
const answer = (response: ServerResponse, payment: Payment, fault: string | undefined, slow: number) => {
  const body = answerOf(payment)
  const status = body.state === "pending" ? 202 : 200
  switch (fault) {
    case "lost-after":
      return void response.socket?.resetAndDestroy()
    case "late":
      return void response.socket?.destroy()
    case "slow":
      return void setTimeout(() => send(response, status, body), slow).unref()
    case "malformed":
    case "status-malformed":
      response.writeHead(200, { "content-type": "application/json" })
      return void response.end(JSON.stringify(body).slice(0, -9))
    case "wrong-id":
      return send(response, 200, { ...body, id: "00000000-0000-4000-8000-000000000000" })
    case "error-body":
      return refuse(response, 200, "internal", "Something went wrong.")
    case "duplicate": {
      const { socket } = response
      response.on("finish", () => {
        const text = JSON.stringify(body)
        const head = `HTTP/1.1 ${status} OK\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n`
        socket?.write(head + text)
      })
      return send(response, status, body)
    }
    default:
      return send(response, status, body)
  }
}

const planOf = (fault: PayFault | undefined, now: number, settle: number): Parameters<Book["accept"]>[3] => {
  if (fault === "pending-success") return { becomes: "paid", due: now + settle }
  if (fault === "pending-failure") return { becomes: "failed", due: now + settle }
  if (fault === "late") return { becomes: "paid", due: now + settle, hidden: true }
  if (fault === "declined") return { becomes: "failed" }
  return fault === "returned" ? { becomes: "paid", returnDue: now + settle } : { becomes: "paid" }
}

const setFaults = (schedule: Schedule, input: unknown): string | undefined => {
  const { rates, next, seed } = (input ?? {}) as { rates?: FaultRates; next?: ReadonlyArray<string>; seed?: number }
  const wrong = [...Object.keys(rates ?? {}), ...(next ?? [])].find((name) => !isFaultName(name))
  if (wrong !== undefined) return `There is no fault "${wrong}".`
  if (rates !== undefined) schedule.rates = rates
  if (seed !== undefined) schedule.seed = seed
  if (next !== undefined) schedule.next.splice(0, Infinity, ...next.filter(isFaultName))
  return undefined
}

export const makeServer = (options: Options): Server => {
  const { book, schedule, currency, clock } = options
  /** How often each id was sent to us, answered or not. */
  const asked = new Map<string, number>()

  const pay = async (id: string, request: IncomingMessage, response: ServerResponse) => {
    asked.set(id, (asked.get(id) ?? 0) + 1)
    const body = readBody(await readJson(request), currency)
    if (body === undefined) return refuse(response, 400, "invalid", "Payee, money or memo is not usable.", id)
    const fault = schedule.forPayment(id)
    if (fault === "rate-limited") return refuse(response, 429, fault, "Too many requests.", id)
    if (fault === "unavailable") return refuse(response, 503, fault, "The rail is closed for the moment.", id)
    if (fault === "lost-before") return void response.socket?.destroy()
    const now = clock()
    const payment = book.accept(id, body, now, planOf(fault, now, options.settle))
    if (payment === "reused") return refuse(response, 422, "id-reused", "This id stands for another payment.", id)
    return answer(response, payment, fault, options.slow)
  }

  const status = (id: string, response: ServerResponse) => {
    const fault = schedule.forStatus(id)
    if (fault === "status-unavailable") return refuse(response, 503, "unavailable", "The rail is closed.", id)
    if (fault === "status-lost") return void response.socket?.destroy()
    const payment = book.find(id, clock())
    return payment === undefined
      ? refuse(response, 404, "not-found", "This id was never accepted.", id)
      : answer(response, payment, fault, options.slow)
  }

  const register = (date: string, response: ServerResponse) => {
    const start = Date.parse(`${date}T00:00:00.000Z`)
    book.settle(clock())
    const within = (at: number | undefined) => at !== undefined && at >= start && at < start + day
    const lines: Array<string> = []
    for (const { id, body, reference, state, paidAt, returnedAt } of book.payments.values()) {
      if (state !== "paid") continue
      const line = { id, reference, money: body.money }
      if (within(paidAt) && !schedule.dropsLine(id))
        lines.push(JSON.stringify({ ...line, state: "succeeded", at: paidAt }))
      if (within(returnedAt)) lines.push(JSON.stringify({ ...line, state: "returned", at: returnedAt }))
    }
    response.writeHead(200, { "content-type": "application/x-ndjson" })
    response.end(lines.concat(JSON.stringify({ end: true, lines: lines.length }), "").join("\n"))
  }

  const admin = async (method: string, path: string, request: IncomingMessage, response: ServerResponse) => {
    if (path === "health") return send(response, 200, { pid: process.pid, data: options.data, currency })
    if (path === "effects") {
      const ids = new Set([...book.payments.keys(), ...asked.keys()])
      const count = (id: string) => [id, { effects: book.payments.get(id)?.effects ?? 0, asked: asked.get(id) ?? 0 }]
      return send(response, 200, Object.fromEntries([...ids].map(count)))
    }
    if (path === "faults" && method === "PUT") {
      const wrong = setFaults(schedule, await readJson(request))
      if (wrong !== undefined) return refuse(response, 400, "invalid", wrong)
    }
    if (path === "faults")
      return send(response, 200, { rates: schedule.rates, next: schedule.next, seed: schedule.seed })
    if (path === "settle" && method === "POST") {
      book.settle(Infinity, clock())
      return send(response, 200, {})
    }
    const [, id] = /^returns\/([^/]+)$/.exec(path) ?? []
    if (id !== undefined && method === "POST")
      return book.giveBack(id, clock())
        ? send(response, 200, {})
        : refuse(response, 409, "not-paid", "There is nothing to take back.", id)
    return refuse(response, 404, "no-such-path", "See docs/plugins/sandbox-payments.md for the paths.")
  }

  const route = async (request: IncomingMessage, response: ServerResponse) => {
    options.onRequest()
    const { method = "GET" } = request
    const path = (request.url ?? "/").split("?")[0] ?? "/"
    const [, id] = /^\/v1\/payments\/([0-9A-Za-z-]{1,64})$/.exec(path) ?? []
    const [, date] = /^\/v1\/register\/(\d{4}-\d{2}-\d{2})$/.exec(path) ?? []
    if (id !== undefined && method === "PUT") return pay(id, request, response)
    if (id !== undefined && method === "GET") return status(id, response)
    if (date !== undefined && method === "GET") return register(date, response)
    if (path === "/v1/quotes" && method === "POST") {
      const body = readBody(await readJson(request), currency)
      return body === undefined
        ? refuse(response, 400, "invalid", "Payee, money or memo is not usable.")
        : send(response, 200, { fee: { amount: "0", currency }, payeeName: "SANDBOX PAYEE" })
    }
    if (path.startsWith("/sandbox/")) return admin(method, path.slice("/sandbox/".length), request, response)
    return refuse(response, 404, "no-such-path", "See docs/plugins/sandbox-payments.md for the paths.")
  }

  return createServer((request, response) => {
    route(request, response).catch((error: unknown) => {
      // A book that cannot be written must not be answered from: the next start reads what is really on the disk.
      process.stderr.write(`${String(error)}\n`)
      process.exit(1)
    })
  })
}
