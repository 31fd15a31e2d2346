/** What simulated providers by HTTP have in common: a book on the disk, faults, and reports to an address of ours. */
import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { parseArgs } from "node:util"
import { control, type Handler, readBody } from "../control.ts"
import { Faults } from "../faults.ts"

export const faultNames = [
  "lost-before",
  "lost-after",
  "slow",
  "html",
  "error-body",
  "server-error",
  "refused",
  "rate-limited",
  "unavailable",
  "expired-token",
  "wrong-id",
  "early-receipt",
  "double-receipt",
  "out-of-order",
  "no-receipt"
] as const
export type FaultName = (typeof faultNames)[number]

export interface Kept {
  /** The provider's. */
  readonly reference: string
  /** Ours. */
  readonly id: string
  readonly to: string
  readonly text: string
  /** All of the request. */
  readonly asked: unknown
  state: string
}

export const send = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) => {
  const text = typeof body === "string" ? body : JSON.stringify(body)
  response.writeHead(status, {
    "content-type": typeof body === "string" ? "text/html" : "application/json",
    ...headers
  })
  response.end(text)
}

/** Faults that every provider has; true when the request is dealt with. */
export const common = (response: ServerResponse, fault: FaultName | undefined): boolean => {
  if (fault === "rate-limited") send(response, 429, { message: "Too Many Attempts." }, { "retry-after": "1" })
  else if (fault === "unavailable") send(response, 503, "<h1>Service Unavailable</h1>")
  else if (fault === "lost-before") response.socket?.destroy()
  else return false
  return true
}

/** Answers that a message which was taken may get. */
export const answered = (response: ServerResponse, fault: FaultName | undefined, body: unknown) => {
  if (fault === "lost-after") response.socket?.resetAndDestroy()
  else if (fault === "html") send(response, 200, "<html><body>OK</body></html>")
  else if (fault === "server-error") send(response, 500, { message: "Server Error" })
  else if (fault === "slow") setTimeout(() => send(response, 200, body), 1_500)
  else send(response, 200, body)
}

export class Provider {
  readonly faults = new Faults<FaultName>(faultNames)
  readonly kept: Array<Kept> = []
  private readonly file: string

  constructor(file: string) {
    this.file = file
    const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : []
    this.kept.push(...lines.map((line) => JSON.parse(line) as Kept))
  }

  keep(one: Kept): Kept {
    this.kept.push(one)
    appendFileSync(this.file, `${JSON.stringify(one)}\n`)
    return one
  }

  /** Tells each state in its turn, some milliseconds apart; `tell` is the provider's own form. */
  report(one: Kept, fault: FaultName | undefined, final: string, tell: (one: Kept, state: string) => Promise<unknown>) {
    if (fault === "no-receipt") return
    const states =
      fault === "out-of-order" ? [final, "ACCEPTED"] : fault === "double-receipt" ? [final, final] : [final]
    const say = async () => {
      for (const state of states) {
        if (fault !== "early-receipt") await new Promise((resolve) => setTimeout(resolve, 30))
        one.state = final
        await tell(one, state).catch(() => {})
      }
    }
    void say()
  }
}

export const post = (
  url: string,
  body: unknown,
  headers: Record<string, string> = { "content-type": "application/json" }
) => fetch(url, { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body), headers })

/** Serves the provider and its other side, and prints both ports. */
export const serve = async (
  make: (provider: Provider) => {
    readonly route: (path: string, body: Buffer, request: IncomingMessage, response: ServerResponse) => void
    readonly more?: Readonly<Record<string, Handler>>
  }
) => {
  const { values } = parseArgs({
    options: { port: { type: "string", default: "0" }, data: { type: "string", default: "" } }
  })
  const provider = new Provider(values.data)
  const { more = {}, route } = make(provider)
  const controlPort = await control({
    "PUT /faults": (body) => provider.faults.set(body as never),
    "GET /kept": () => provider.kept,
    ...more
  })
  const server = createServer((request, response) => {
    void readBody(request).then((body) => route((request.url ?? "/").split("?")[0] ?? "/", body, request, response))
  })
  server.listen(Number(values.port), "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    process.stdout.write(`${JSON.stringify({ port, control: controlPort })}\n`)
  })
}
