/**
 * The simulated gateway's HTTP face; the contract is written down in docs/plugins/kash.md. `/v1` is the gateway, `/sandbox` the hand on its
 * other side.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { makeCallbacks, type Target } from "./callbacks.ts"
import {
  type FaultRates,
  isFaultName,
  lineFaults,
  pageFaults,
  type PayFault,
  payFaults,
  type Schedule,
  statusFaults
} from "./faults.ts"
import type { Body, Gateway, Payment, RegisterLine } from "./gateway.ts"
import { readJson, refuse, send, sendBroken, sendHtml, sendTwice } from "./http.ts"

export interface Options {
  readonly gateway: Gateway
  readonly schedule: Schedule
  /** The bearer key that clients must show. */
  readonly key: string
  readonly callback: Target | undefined
  /** Milliseconds by which a slow answer is late. */
  readonly slow: number
  /** Lines on one page of the register. */
  readonly pageSize: number
  /** Epoch milliseconds. */
  readonly clock: () => number
}

const day = 86_400_000

const readBody = (input: unknown): Body | undefined => {
  const { amount, currency, memo, phone } = (input ?? {}) as Partial<Record<keyof Body, unknown>>
  const fit =
    typeof phone === "string" &&
    /^\+998\d{9}$/.test(phone) &&
    typeof amount === "string" &&
    /^[1-9]\d{0,17}$/.test(amount) &&
    currency === "UZS" &&
    typeof memo === "string"
  return fit ? { phone, amount, currency, memo } : undefined
}

const answerOf = ({ body, code, id, reference, returnedAt, state }: Payment) => {
  const about = { id, amount: body.amount, currency: body.currency }
  if (state === "waiting") return { ...about, state: "processing" }
  if (state === "rejected") return { ...about, state, code }
  return { ...about, state: returnedAt === undefined ? "done" : "returned", reference }
}

/** Answers as the fault wants it; without a fault, plainly. */
const answer = (response: ServerResponse, payment: Payment, fault: string | undefined, slow: number) => {
  const body = answerOf(payment)
  const status = body.state === "processing" ? 202 : 200
  switch (fault) {
    case "lost-after":
      return void response.socket?.resetAndDestroy()
    case "late":
      return void response.socket?.destroy()
    case "slow":
      return void setTimeout(() => send(response, status, body), slow).unref()
    case "malformed":
    case "status-malformed":
      return sendBroken(response, body)
    case "html":
    case "status-html":
      return sendHtml(response)
    case "wrong-id":
    case "status-wrong-id":
      return send(response, 200, { ...body, id: "00000000-0000-4000-8000-000000000000" })
    case "wrong-amount":
      return send(response, 200, { ...body, amount: `${body.amount}00` })
    case "odd-code":
      return send(response, 200, { ...body, state: "rejected", code: "E-4711" })
    case "error-body":
      return refuse(response, 200, "internal")
    case "duplicate":
      return sendTwice(response, status, body)
    default:
      return send(response, status, body)
  }
}

const setFaults = (schedule: Schedule, input: unknown): boolean => {
  const { next, rates, seed } = (input ?? {}) as { rates?: FaultRates; next?: ReadonlyArray<string>; seed?: number }
  if ([...Object.keys(rates ?? {}), ...(next ?? [])].some((name) => !isFaultName(name))) return false
  if (rates !== undefined) schedule.rates = rates
  if (seed !== undefined) schedule.seed = seed
  if (next !== undefined) schedule.next.splice(0, Infinity, ...next.filter(isFaultName))
  return true
}

export const makeServer = (options: Options): Server => {
  const { clock, gateway, schedule } = options
  /** Every pay that came, answered or not: what went over the wire. */
  const asked: Array<{ readonly id: string; readonly body: unknown }> = []
  const { tell } = makeCallbacks(options.callback, schedule, clock)
  gateway.onChange = (payment) => void tell(payment)

  const pay = async (id: string, input: unknown, response: ServerResponse) => {
    asked.push({ id, body: input })
    const body = readBody(input)
    if (body === undefined) return refuse(response, 400, "invalid", id)
    const fault = schedule.draw<PayFault>(id, payFaults)
    if (fault === "rate-limited") return refuse(response, 429, fault, id)
    if (fault === "unavailable") return refuse(response, 503, fault, id)
    if (fault === "lost-before") return void response.socket?.destroy()
    if (fault === "reset-before") return void response.socket?.resetAndDestroy()
    const early = schedule.draw(`early ${id}`, ["callback-early"]) !== undefined
    const payment = gateway.accept(id, body, clock(), fault)
    if (payment === "reused") return refuse(response, 422, "id-reused", id)
    if (early) await tell(payment)
    return answer(response, payment, fault, options.slow)
  }

  const status = (id: string, response: ServerResponse) => {
    const fault = schedule.draw(`status ${id}`, statusFaults)
    if (fault === "status-rate-limited") return refuse(response, 429, "rate-limited", id)
    if (fault === "status-unavailable") return refuse(response, 503, "unavailable", id)
    if (fault === "status-lost") return void response.socket?.destroy()
    const payment = gateway.find(id, clock())
    return payment === undefined
      ? refuse(response, 404, "not-found", id)
      : answer(response, payment, fault, options.slow)
  }

  /** The register with its mistakes: the same ones whenever it is asked for. */
  const linesOf = (from: number, to: number) =>
    // Lines of the day before may have been shifted into this one.
    gateway.booked(from - day, to).flatMap((line: RegisterLine) => {
      const { at, payment, state } = line
      const { amount, currency } = payment.body
      const plain = { id: payment.id, reference: payment.reference, amount, currency, state, at }
      const fault = schedule.draw(`register ${payment.id} ${state}`, lineFaults, true)
      const shown = {
        "register-missing": [],
        "register-extra": [plain, { ...plain, id: payment.id.replace(/^.{8}/, "ffffffff"), reference: "kash-extra" }],
        "register-shifted": [{ ...plain, at: at + day }],
        "register-scaled": [{ ...plain, amount: `${amount}00` }],
        none: [plain]
      }[fault ?? "none"]
      return shown.filter((one) => one.at >= from && one.at < to)
    })

  const register = (input: unknown, response: ServerResponse) => {
    const { after = "0", from, to } = (input ?? {}) as { from?: string; to?: string; after?: string }
    const [start, end, offset] = [Date.parse(from ?? ""), Date.parse(to ?? ""), Number(after)]
    if (Number.isNaN(start) || Number.isNaN(end) || !Number.isInteger(offset)) return refuse(response, 400, "invalid")
    gateway.settle(clock())
    const lines = linesOf(start, end)
    const shown = lines.slice(offset, offset + options.pageSize)
    const next = offset + shown.length
    const page = {
      from,
      to,
      total: lines.length,
      lines: shown.map((line) => ({ ...line, at: new Date(line.at).toISOString() })),
      ...(next < lines.length ? { next: String(next) } : {})
    }
    switch (schedule.draw(`page ${from}`, pageFaults)) {
      case "register-truncated":
        return send(response, 200, { from, to, total: lines.length, lines: page.lines.slice(0, -1) })
      case "register-malformed":
        return sendBroken(response, page)
      case undefined:
        return send(response, 200, page)
    }
  }

  const quote = (input: unknown, response: ServerResponse) => {
    const body = readBody(input)
    if (body === undefined) return refuse(response, 400, "invalid")
    // Numbers that end so belong to nobody.
    if (body.phone.endsWith("0000000")) return refuse(response, 422, "number-unknown")
    const { amount, currency, phone } = body
    return send(response, 200, { phone, amount, currency, fee: "0", subscriber: "A*** K***" })
  }

  const admin = async (method: string, path: string, request: IncomingMessage, response: ServerResponse) => {
    const [, what, id] = /^(returns|hints)\/([^/]+)$/.exec(path) ?? []
    if (path === "effects")
      return send(
        response,
        200,
        Object.fromEntries([...gateway.payments.values()].map((payment) => [payment.id, payment.effects]))
      )
    if (path === "asked") return send(response, 200, asked)
    if (path === "faults" && method === "PUT" && !setFaults(schedule, await readJson(request)))
      return refuse(response, 400, "no-such-fault")
    if (path === "faults")
      return send(response, 200, { rates: schedule.rates, next: schedule.next, seed: schedule.seed })
    if (path === "settle" && method === "POST") {
      gateway.settle(Infinity, clock())
      return send(response, 200, {})
    }
    if (what === "returns" && id !== undefined && method === "POST")
      return gateway.giveBack(id, clock()) ? send(response, 200, {}) : refuse(response, 409, "not-paid", id)
    const hinted = what === "hints" && id !== undefined ? gateway.payments.get(id) : undefined
    if (hinted !== undefined) {
      await tell(hinted)
      return send(response, 200, {})
    }
    return refuse(response, 404, "no-such-path")
  }

  const route = async (request: IncomingMessage, response: ServerResponse) => {
    const { method = "GET" } = request
    const path = (request.url ?? "/").split("?")[0] ?? "/"
    if (path.startsWith("/sandbox/")) return admin(method, path.slice("/sandbox/".length), request, response)
    if (request.headers.authorization !== `Bearer ${options.key}`) return refuse(response, 401, "unauthorized")
    const input = await readJson(request)
    if (method !== "POST") return refuse(response, 404, "no-such-path")
    const [, id, asksStatus] = /^\/v1\/payments\/([0-9A-Za-z-]{1,64})(\/status)?$/.exec(path) ?? []
    if (id !== undefined) return asksStatus === undefined ? pay(id, input, response) : status(id, response)
    if (path === "/v1/quotes") return quote(input, response)
    if (path === "/v1/register") return register(input, response)
    return refuse(response, 404, "no-such-path")
  }

  return createServer((request, response) => {
    route(request, response).catch((error: unknown) => {
      // A journal that cannot be written must not be answered from: the next start reads what is really on the disk.
      process.stderr.write(`${error instanceof Error ? error.message : "failed"}\n`)
      process.exit(1)
    })
  })
}
