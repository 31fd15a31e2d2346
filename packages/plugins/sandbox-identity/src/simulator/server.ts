/**
 * The simulated register's HTTP face; the protocol is written down in docs/plugins/sandbox-identity.md. `/v1` is the register, `/sandbox`
 * the hand on its other side. It keeps no person: of a request it remembers a keyed hash, in memory.
 */
import { createHmac, randomBytes } from "node:crypto"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { type FaultName, isFaultName, type Schedule } from "./faults.ts"
import { type Person, verdictOn } from "./people.ts"

export interface Options {
  readonly schedule: Schedule
  /** Milliseconds by which a slow answer is late. */
  readonly slow: number
}

interface Asked {
  readonly hash: string
  times: number
}

const maxBody = 16 * 1024

const send = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) => {
  response.writeHead(status, { "content-type": "application/json", ...headers })
  response.end(JSON.stringify(body))
}

const refuse = (response: ServerResponse, status: number, code: string, requestId?: string) =>
  send(
    response,
    status,
    { ...(requestId === undefined ? {} : { requestId }), error: { code } },
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

interface Question {
  readonly requestId: string
  readonly person: Person
}

const readQuestion = (input: unknown): Question | undefined => {
  const { consent, person, purpose, requestId } = (input ?? {}) as Partial<Record<string, unknown>>
  const { birthDate, nationalId, ...rest } = (person ?? {}) as Partial<Record<string, unknown>>
  const fit =
    typeof requestId === "string" &&
    /^[0-9a-f-]{36}$/i.test(requestId) &&
    consent === true &&
    typeof purpose === "string" &&
    purpose !== "" &&
    typeof nationalId === "string" &&
    /^[1-6]\d{13}$/.test(nationalId) &&
    typeof birthDate === "string" &&
    /^\d{4}-\d{2}-\d{2}$/.test(birthDate) &&
    Object.keys(rest).length === 0
  return fit ? { requestId, person: { nationalId, birthDate } } : undefined
}

const page = "<!doctype html><title>Welcome</title><p>Sign in to the hotel's network.</p>"

/** Answers as the fault wants it; without a fault, plainly. */
const answer = (
  response: ServerResponse,
  { person, requestId }: Question,
  fault: FaultName | undefined,
  slow: number
): void => {
  const verdict = verdictOn(person)
  const body = { requestId, ...verdict, ...(verdict.result === "match" ? { assurance: "substantial" } : {}) }
  switch (fault) {
    case "lost-after":
      return void response.socket?.resetAndDestroy()
    case "slow":
      return void setTimeout(() => send(response, 200, body), slow).unref()
    case "server-error":
      return refuse(response, 500, "internal", requestId)
    case "malformed":
      response.writeHead(200, { "content-type": "application/json" })
      return void response.end(JSON.stringify(body).slice(0, -9))
    case "wrong-content":
      response.writeHead(200, { "content-type": "text/html" })
      return void response.end(page)
    case "wrong-id":
      return send(response, 200, { ...body, requestId: "00000000-0000-4000-8000-000000000000" })
    case "pending":
      return send(response, 202, { requestId, result: "pending" })
    default:
      return send(response, 200, body)
  }
}

export const makeServer = ({ schedule, slow }: Options): Server => {
  const key = randomBytes(32)
  const asked = new Map<string, Asked>()

  const check = async (request: IncomingMessage, response: ServerResponse) => {
    const question = readQuestion(await readJson(request))
    if (question === undefined) return refuse(response, 400, "invalid")
    const { person, requestId } = question
    const fault = schedule.draw(requestId)
    const hash = createHmac("sha256", key).update(`${person.nationalId} ${person.birthDate}`).digest("hex")
    const known = asked.get(requestId) ?? { hash, times: 0 }
    asked.set(requestId, known)
    known.times += 1
    if (fault === "rate-limited") return refuse(response, 429, fault, requestId)
    if (fault === "unavailable") return refuse(response, 503, fault, requestId)
    if (fault === "unauthorized") return refuse(response, 401, fault, requestId)
    if (fault === "lost-before") return void response.socket?.destroy()
    if (known.hash !== hash) return refuse(response, 422, "id-reused", requestId)
    return answer(response, question, fault, slow)
  }

  const admin = async (method: string, path: string, request: IncomingMessage, response: ServerResponse) => {
    if (path === "asked")
      return send(response, 200, Object.fromEntries([...asked].map(([id, { times }]) => [id, times])))
    if (path === "faults" && method === "PUT") {
      const { next } = ((await readJson(request)) ?? {}) as { readonly next?: unknown }
      if (!Array.isArray(next) || !next.every(isFaultName)) return refuse(response, 400, "invalid")
      schedule.next = [...next]
      return send(response, 200, { next })
    }
    return refuse(response, 404, "no-such-path")
  }

  const route = (request: IncomingMessage, response: ServerResponse) => {
    const { method = "GET", url = "/" } = request
    if (url === "/v1/checks" && method === "POST") return check(request, response)
    if (url.startsWith("/sandbox/")) return admin(method, url.slice("/sandbox/".length), request, response)
    return refuse(response, 404, "no-such-path")
  }

  return createServer((request, response) => {
    Promise.resolve(route(request, response)).catch(() => response.destroy())
  })
}
