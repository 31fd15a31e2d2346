/**
 * The simulated gateway's HTTP face; the contract is written down in docs/plugins/uzcard.md. `/api/jsonrpc` is the gateway, `/form` its page for
 * cards, `/sandbox` the hand on its other side.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { methods } from "../wire.ts"
import { type FaultRates, isFaultName, type Schedule } from "./faults.ts"
import { makeForms } from "./form.ts"
import { readJson, send, sendBroken, sendHtml, sendTwice } from "./http.ts"
import { type Answer, makeMethods } from "./methods.ts"
import { ownerOf, type Processing } from "./processing.ts"

export interface Options {
  readonly processing: Processing
  readonly schedule: Schedule
  readonly user: string
  readonly password: string
  /** Milliseconds by which a slow answer is late. */
  readonly slow: number
  readonly address: () => string
  /** Epoch milliseconds. */
  readonly clock: () => number
}

/** Answers as the fault wants it; without a fault, plainly. */
const respond = (response: ServerResponse, id: unknown, { error, fault, result }: Answer, slow: number) => {
  const plain = {
    jsonrpc: "2.0",
    id,
    ...(error === undefined ? { result } : { error: { code: error, message: "No." } })
  }
  switch (fault) {
    case "rate-limited":
    case "status-rate-limited":
      response.writeHead(429, { "retry-after": "1" })
      return void response.end()
    case "lost-before":
    case "late":
    case "status-lost":
      return void response.socket?.destroy()
    case "reset-before":
    case "lost-after":
    case "reverse-lost":
      return void response.socket?.resetAndDestroy()
    case "slow":
      return void setTimeout(() => send(response, 200, plain), slow).unref()
    case "malformed":
    case "status-malformed":
    case "register-malformed":
      return sendBroken(response, plain)
    case "html":
    case "status-html":
      return sendHtml(response)
    case "wrong-call":
      return send(response, 200, { ...plain, id: "0" })
    case "duplicate":
      return sendTwice(response, 200, plain)
    default:
      return send(response, 200, plain)
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
  const { clock, password, processing, schedule, user } = options
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`
  const call = makeMethods(options)
  const forms = makeForms(processing, clock)
  /** Every credit that came, answered or not: what went over the wire. */
  const asked: Array<unknown> = []

  const rpc = async (request: IncomingMessage, response: ServerResponse) => {
    if (request.headers.authorization !== authorization) return send(response, 401, undefined)
    const input = (await readJson(request)) as { id?: unknown; method?: unknown; params?: unknown } | undefined
    if (typeof input?.method !== "string")
      return send(response, 200, { jsonrpc: "2.0", id: null, error: { code: -32600, message: "No." } })
    if (input.method === methods.credit.method) asked.push(input)
    return respond(response, input.id, call(input.method, input.params), options.slow)
  }

  const admin = async (method: string, path: string, request: IncomingMessage, response: ServerResponse) => {
    const [, what, id = ""] = /^(returns|forms|cards)\/([^/]+)$/.exec(path) ?? []
    if (path === "effects")
      return send(response, 200, Object.fromEntries(processing.credits().map((credit) => [credit.id, credit.effects])))
    if (path === "asked") return send(response, 200, asked)
    if (path === "faults" && method === "PUT" && !setFaults(schedule, await readJson(request)))
      return send(response, 400, { error: "There is no such fault." })
    if (path === "faults")
      return send(response, 200, { rates: schedule.rates, next: schedule.next, seed: schedule.seed })
    if (path === "settle" && method === "POST") {
      processing.settle(Infinity, clock())
      return send(response, 200, {})
    }
    if (what === "returns" && method === "POST")
      return processing.giveBack(processing.find(id, clock()), clock()) === undefined
        ? send(response, 409, { error: "There is nothing to take back." })
        : send(response, 200, {})
    const form = what === "forms" ? processing.form(id) : undefined
    if (form !== undefined)
      return send(response, 200, { state: form.state, token: form.card?.token, code: forms.codeOf(id) })
    if (what === "cards" && processing.card(id) !== undefined) return send(response, 200, { pinfl: ownerOf(id) })
    return send(response, 404, { error: "See docs/plugins/uzcard.md for the paths." })
  }

  const route = async (request: IncomingMessage, response: ServerResponse) => {
    const { method = "GET" } = request
    const path = (request.url ?? "/").split("?")[0] ?? "/"
    const [, form, step] = /^\/form\/([0-9a-f-]{36})(?:\/(card|code))?$/.exec(path) ?? []
    if (path.startsWith("/sandbox/")) return admin(method, path.slice("/sandbox/".length), request, response)
    if (form !== undefined) return forms.serve(form, step, request, response)
    if (path === "/api/jsonrpc" && method === "POST") return rpc(request, response)
    return send(response, 404, { error: "See docs/plugins/uzcard.md for the paths." })
  }

  return createServer((request, response) => {
    route(request, response).catch((error: unknown) => {
      // A journal that cannot be written must not be answered from: the next start reads what is really on the disk.
      process.stderr.write(`${error instanceof Error ? error.message : "failed"}\n`)
      process.exit(1)
    })
  })
}
