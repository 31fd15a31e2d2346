/** A small client for tests: says everything about an answer and throws for none. Each has an address of its own for rate limits. */
import { randomInt, randomUUID } from "node:crypto"
import { request as httpRequest } from "node:http"
import { watchCall } from "./watch.ts"

export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** The body as text. */
  readonly text: string
  /** Parsed when it is JSON. */
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers of every shape
  readonly body: any
}

export interface CallOptions {
  /** An object becomes JSON; text and bytes go as they are. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export type Call = (method: string, path: string, options?: CallOptions) => Promise<Answer>

export interface Client {
  readonly base: string
  readonly headers: Readonly<Record<string, string>>
  readonly call: Call
  readonly get: (path: string, headers?: Readonly<Record<string, string>>) => Promise<Answer>
  readonly post: (path: string, body?: unknown, headers?: Readonly<Record<string, string>>) => Promise<Answer>
  readonly with: (headers: Readonly<Record<string, string>>) => Client
}

const anyAddress = () => `10.${randomInt(256)}.${randomInt(256)}.${randomInt(1, 255)}`

const answerOf = async (response: Response): Promise<Answer> => {
  const text = await response.text()
  const isJson = /[/+]json/.test(response.headers.get("content-type") ?? "")
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson && text !== "" ? JSON.parse(text) : undefined
  }
}

/** Speaks to `base`, as `http://127.0.0.1:8080/t/samarkand`. */
export const makeClient = (base: string, given: Readonly<Record<string, string>> = {}): Client => {
  const headers = { "x-forwarded-for": anyAddress(), ...given }
  const call: Call = async (method, path, { body, headers: more } = {}) => {
    const raw = typeof body === "string" || body instanceof Uint8Array
    const payload = body === undefined ? undefined : raw ? (body as BodyInit) : JSON.stringify(body)
    const type = body === undefined || raw ? {} : { "content-type": "application/json" }
    return fetch(`${base}${path}`, {
      method,
      headers: { ...type, ...headers, ...more },
      redirect: "manual",
      ...(payload === undefined ? {} : { body: payload })
    })
      .then(answerOf)
      .then((answer) => {
        watchCall(`${method} ${path.split("?")[0]}`, body, answer)
        return answer
      })
      .catch((cause: unknown) => {
        throw new Error(`No answer to ${method} ${path}: ${String(cause)}`, { cause })
      })
  }
  return {
    base,
    headers,
    call,
    get: (path, more) => call("GET", path, more === undefined ? {} : { headers: more }),
    post: (path, body, more) =>
      call("POST", path, { body: body ?? {}, ...(more === undefined ? {} : { headers: more }) }),
    with: (more) => makeClient(base, { ...headers, ...more })
  }
}

/** Sends what `fetch` refuses to send: paths as they are, any header. */
export const rawCall = (
  base: string,
  method: string,
  path: string,
  headers: Readonly<Record<string, string | ReadonlyArray<string>>> = {},
  body?: Uint8Array | string
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(base)
    const sent = httpRequest({ hostname, port, method, path, headers: headers as Record<string, string>, agent: false })
    sent.once("error", reject)
    sent.once("response", (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.once("error", reject)
      response.once("end", () => {
        const text = Buffer.concat(chunks).toString("utf8")
        const found = new Headers()
        for (const [name, value] of Object.entries(response.headers)) found.set(name, String(value))
        const isJson = /[/+]json/.test(found.get("content-type") ?? "")
        resolve({
          status: response.statusCode ?? 0,
          headers: found,
          text,
          body: isJson && text !== "" ? JSON.parse(text) : undefined
        })
      })
    })
    sent.end(body)
  })

const base64 = (text: string) => Buffer.from(text).toString("base64")

/** Sends a file by tus in one request; the answer names it in `location`. */
export const upload = async (client: Client, bytes: Uint8Array, name: string, type = "image/jpeg", caseId?: string) => {
  const answer = await client.call("POST", "/v1/uploads", {
    body: bytes,
    headers: {
      "tus-resumable": "1.0.0",
      "upload-length": String(bytes.length),
      "upload-metadata": `filename ${base64(name)},filetype ${base64(type)}${caseId === undefined ? "" : `,case ${base64(caseId)}`}`,
      "content-type": "application/offset+octet-stream"
    }
  })
  return { answer, id: answer.headers.get("location")?.split("/").at(-1) ?? "" }
}

/** A server-sent event. */
export interface SeenEvent {
  readonly id: string
  readonly event: string
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into events of every shape
  readonly data: any
}

/** Follows a live feed until `stop`; `seen` grows. Ready when the server has answered. */
export const follow = async (client: Client, lastEventId?: string, path = "/v1/events") => {
  const aborter = new AbortController()
  const response = await fetch(`${client.base}${path}`, {
    headers: { ...client.headers, ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }) },
    signal: aborter.signal
  })
  const seen: Array<SeenEvent> = []
  const reading = (async () => {
    let text = ""
    const decoder = new TextDecoder()
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true })
      const frames = text.split("\n\n")
      text = frames.pop()!
      for (const frame of frames) {
        const fields = Object.fromEntries(
          frame.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()])
        )
        if (fields["data"] !== undefined)
          seen.push({ id: fields["id"]!, event: fields["event"]!, data: JSON.parse(fields["data"]) })
      }
    }
  })().catch(() => {})
  return {
    status: response.status,
    headers: response.headers,
    seen,
    /** When the server has ended it, or somebody else. */
    ended: reading,
    stop: async () => {
      aborter.abort()
      await reading
    }
  }
}

/** Asks again and again until the answer is there; fails with what was seen last. */
export const until = async <A>(what: string, ask: () => Promise<A | undefined | false>, seconds = 60): Promise<A> => {
  const end = Date.now() + seconds * 1000
  for (;;) {
    const found = await ask()
    if (found !== undefined && found !== false) return found
    if (Date.now() > end) throw new Error(`Not within ${seconds} seconds: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 40))
  }
}

export const newKey = (): string => randomUUID()
