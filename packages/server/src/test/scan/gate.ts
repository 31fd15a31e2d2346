/**
 * What stands between the scanners and the city. Both know forms and links only, so an operation is shown to them as one form (or link) with a
 * field for every parameter and every value in its body; what comes back is put where it belongs and sent on with a token. The gate counts
 * the answers, so that one sees how far a scan got, and judges each by itself: a fault of ours, or words of the database, are findings too.
 */
import { Agent, createServer, type IncomingHttpHeaders, request as httpRequest } from "node:http"
import { randomInt, randomUUID } from "node:crypto"
import type { AddressInfo } from "node:net"
import { databaseWords } from "../databaseWords.ts"
import type { Client } from "../client.ts"
import type { Field, Operation } from "./targets.ts"

/** An operation as one person asks it. */
export interface Target extends Operation {
  readonly as: Client
  /** Runs before each request. */
  readonly before: () => Promise<void>
  /** Hears each answer's status. */
  readonly answered: (status: number) => void
  /** The answers of planted faults are the scanners' to judge. */
  readonly planted: boolean
}

export interface Seen {
  readonly statuses: ReadonlyMap<number, number>
  /** By the place of the field: how many requests had something of the scanner's in it. */
  readonly filled: ReadonlyArray<number>
  /** Milliseconds of the slowest answer. */
  readonly slowest: number
  readonly faults: ReadonlyArray<string>
}

export interface Answered {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface Gate {
  readonly url: string
  /** From now on the gate shows this operation; counting begins anew. */
  readonly show: (target: Target) => void
  /** Sends the operation once, with the values it has. */
  readonly ask: () => Promise<Answered>
  readonly seen: () => Seen
  /** Connections that came from the city when it was told to fetch something. */
  readonly fetched: () => number
  readonly close: () => Promise<void>
}

/** Scanners leave out parameters whose names they take for tokens or sessions: they see numbers. */
export const nameOf = (index: number): string => `f${index}`

const typed = (field: Field, text: string): unknown =>
  typeof field.value === "number" && text.trim() !== "" && Number.isFinite(Number(text))
    ? Number(text)
    : typeof field.value === "boolean" && (text === "true" || text === "false")
      ? text === "true"
      : text

const put = (target: Record<string, unknown>, way: ReadonlyArray<string>, value: unknown): void => {
  const [first = "", ...rest] = way
  if (rest.length === 0) target[first] = value
  else put(target[first] as Record<string, unknown>, rest, value)
}

/** The request that an operation becomes with these texts in its fields. */
export const requestOf = (operation: Operation, texts: ReadonlyArray<string>) => {
  let { path } = operation
  const query = new URLSearchParams()
  const headers: Record<string, string> = {}
  const body = structuredClone(operation.body)
  for (const [index, field] of operation.fields.entries()) {
    const text = (texts[index] ?? "").toWellFormed()
    if (field.place === "path") path = path.replace(`{${field.name}}`, () => encodeURIComponent(text))
    else if (field.place === "query") query.append(field.name, text)
    else if (field.place === "header")
      headers[field.name.toLowerCase()] = text.replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, "?")
    else put(body as Record<string, unknown>, field.name.split("."), typed(field, text))
  }
  const search = query.toString()
  return {
    path: search === "" ? path : `${path}?${search}`,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body)
  }
}

const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;")

/** The page on which a scanner that looks for links and forms finds the operation. */
const pageOf = ({ fields, method }: Operation) => {
  const named = fields.map(({ value }, index) => [nameOf(index), String(value)] as const)
  const query = new URLSearchParams(named.map(([name, value]) => [name, value]))
  const inputs = named.map(([name, value]) => `<input type="hidden" name="${name}" value="${escape(value)}">`).join("")
  return `<!doctype html><html><body>${
    method === "GET"
      ? `<a href="/operation?${escape(query.toString())}">operation</a>`
      : `<form method="post" action="/operation">${inputs}</form>`
  }</body></html>`
}

const anyAddress = () => `10.${randomInt(256)}.${randomInt(256)}.${randomInt(1, 255)}`

export const openGate = async (): Promise<Gate> => {
  const agent = new Agent({ keepAlive: true })
  let target: Target | undefined
  let statuses = new Map<number, number>()
  let filled: Array<number> = []
  let slowest = 0
  let faults: Array<string> = []
  let fetched = 0
  /** By scan, request and field. */
  const told: Record<string, Record<string, Record<string, Array<object>>>> = {}

  const send = (shown: Target, texts: ReadonlyArray<string>): Promise<Answered> =>
    new Promise((resolve, reject) => {
      const { body, headers, path } = requestOf(shown, texts)
      const base = new URL(shown.as.base)
      const sent = httpRequest(
        {
          agent,
          hostname: base.hostname,
          port: base.port,
          method: shown.method,
          path: `${base.pathname.replace(/\/$/, "")}${path}`,
          headers: {
            ...shown.as.headers,
            // Budgets by address must not end the scan; who asks from where is not what it is about.
            "x-forwarded-for": anyAddress(),
            ...headers,
            // The same key with another body is refused: fresh ones, unless the key itself is attacked.
            ...(headers["idempotency-key"] === "scan" ? { "idempotency-key": randomUUID() } : {}),
            ...(body === undefined
              ? {}
              : { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
          }
        },
        (response) => {
          const chunks: Array<Buffer> = []
          response.on("data", (chunk: Buffer) => chunks.push(chunk))
          response.once("error", reject)
          response.once("end", () =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) })
          )
        }
      )
      sent.once("error", reject)
      sent.end(body)
    })

  const defaults = (shown: Target) => shown.fields.map(({ value }) => String(value))

  const attack = async (shown: Target, given: URLSearchParams): Promise<Answered> => {
    const texts = shown.fields.map(({ value }, index) => given.get(nameOf(index)) ?? String(value))
    await shown.before()
    const began = performance.now()
    const answer = await send(shown, texts)
    shown.answered(answer.status)
    if (shown !== target) return answer
    const took = performance.now() - began
    slowest = Math.max(slowest, took)
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
    for (const [index, text] of texts.entries())
      if (text !== String(shown.fields[index]!.value)) filled[index] = (filled[index] ?? 0) + 1
    if (!shown.planted) {
      const words = databaseWords(answer.body.toString("utf8"), texts)
      const wrong = [...(answer.status >= 500 ? [String(answer.status)] : []), ...(words === undefined ? [] : [words])]
      if (wrong.length > 0) faults.push(`${shown.label}: ${wrong.join(", ")} for ${JSON.stringify(texts)}`)
    }
    return answer
  }

  /** As wapiti's own endpoint on the web does, so that nothing has to leave this machine: who fetched what it was told to. */
  const endpoint = ({ href, pathname, searchParams }: URL, method: string): object | undefined => {
    if (pathname === "/get_ssrf.php") return told[searchParams.get("id") ?? ""] ?? {}
    const [, , scan, request, field] = pathname.split("/")
    if (scan === undefined || request === undefined || field === undefined) return undefined
    fetched++
    const requests = (told[scan] ??= {})
    const fields = (requests[request] ??= {})
    ;(fields[field] ??= []).push({ url: href, date: new Date().toISOString(), ip: "127.0.0.1", method, size: 0 })
    return {}
  }

  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.once("end", () => {
      const url = new URL(request.url ?? "/", "http://gate")
      const answer = (status: number, type: string, body: string | Buffer) => {
        response.writeHead(status, { "content-type": type }).end(body)
      }
      const shown = target
      if (url.pathname.startsWith("/ssrf/") || url.pathname === "/get_ssrf.php") {
        const said = endpoint(url, request.method ?? "GET")
        return answer(said === undefined ? 404 : 200, "application/json", JSON.stringify(said ?? {}))
      }
      if (shown === undefined) return answer(404, "text/plain", "")
      if (url.pathname === "/") return answer(200, "text/html", pageOf(shown))
      const given = new URLSearchParams(shown.method === "GET" ? url.search : Buffer.concat(chunks).toString("utf8"))
      if (url.pathname !== "/operation" || (shown.fields.length > 0 && given.size === 0))
        return answer(404, "text/plain", "")
      attack(shown, given).then(
        ({ body, headers, status }) => {
          const { connection: _, "content-length": __, "transfer-encoding": ___, ...rest } = headers
          response.writeHead(status, rest as Record<string, string>).end(body)
        },
        (error: unknown) => {
          faults.push(`${shown.label}: no answer, ${String(error)}`)
          response.destroy()
        }
      )
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    show: (next) => {
      target = next
      statuses = new Map()
      filled = next.fields.map(() => 0)
      slowest = 0
      faults = []
    },
    ask: async () => {
      if (target === undefined) throw new Error("The gate shows no operation yet.")
      const shown = target
      await shown.before()
      const answer = await send(shown, defaults(shown))
      shown.answered(answer.status)
      return answer
    },
    seen: () => ({ statuses: new Map(statuses), filled: [...filled], slowest, faults }),
    fetched: () => fetched,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
        agent.destroy()
      })
  }
}
