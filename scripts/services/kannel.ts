/** A Kannel of the test's own: bearerbox and smsbox, bound by SMPP to somebody's centre. What reaches it, it tells by HTTP. */
import { spawn, type ChildProcess } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { ensureService } from "./debian.ts"
import { answers, end } from "./mosquitto.ts"
import { freePort } from "./port.ts"

const { programs } = await ensureService("kannel")

export interface Taken {
  readonly to: string
  readonly text: string
}

const heard = (url: string): Taken => {
  const raw = new Map(
    url
      .slice(url.indexOf("?") + 1)
      .split("&")
      .map((pair) => pair.split("=") as [string, string])
  )
  // Bytes as they are: no text of their own for UTF-16.
  const bytes = Buffer.from(
    (raw.get("text") ?? "")
      .replaceAll("+", " ")
      .replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    "latin1"
  )
  const text = raw.get("coding") === "2" ? bytes.swap16().toString("utf16le") : bytes.toString("utf8")
  return { to: decodeURIComponent(raw.get("to") ?? ""), text }
}

/** `centre`: port of the SMS centre; `user` and `password`: whom Kannel binds as. */
export const kannel = (centre: number, user: string, password: string) =>
  Effect.gen(function* () {
    const taken: Array<Taken> = []
    const reports: Array<string> = []
    const listener = yield* Effect.acquireRelease(
      Effect.promise(
        () =>
          new Promise<ReturnType<typeof createServer>>((resolve) => {
            const server = createServer((request, response) => {
              const url = request.url ?? ""
              if (url.startsWith("/taken")) taken.push(heard(url))
              else reports.push(url)
              response.end()
            }).listen(0, "127.0.0.1", () => resolve(server))
          })
      ),
      (server) => Effect.promise(() => new Promise((resolve) => server.close(resolve)))
    )
    const own = (listener.address() as AddressInfo).port
    const [admin, boxes, sending] = yield* Effect.promise(() => Promise.all([freePort(), freePort(), freePort()]))
    const folder = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "mahalla-kannel-"))),
      (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
    )
    const file = join(folder, "kannel.conf")
    const lines = `group = core
admin-port = ${admin}
admin-password = bar
smsbox-port = ${boxes}
box-allow-ip = "127.0.0.1"
log-file = "${folder}/bearerbox.log"
log-level = 2

group = smsc
smsc = smpp
smsc-id = centre
host = 127.0.0.1
port = ${centre}
transceiver-mode = true
smsc-username = "${user}"
smsc-password = "${password}"
system-type = ""
address-range = ""
reconnect-delay = 1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = ${sending}
log-file = "${folder}/smsbox.log"
log-level = 2

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "http://127.0.0.1:${own}/taken?to=%P&coding=%c&text=%b"

group = sendsms-user
username = tester
password = tester
`
    yield* Effect.promise(() => writeFile(file, lines))
    let running: ReadonlyArray<ChildProcess> = []
    const start = Effect.promise(async () => {
      const bearerbox = spawn(programs["bearerbox"]!, ["-v", "4", file], { stdio: "ignore" })
      running = [bearerbox]
      await answers(boxes)
      running = [spawn(programs["smsbox"]!, ["-v", "4", file], { stdio: "ignore" }), bearerbox]
      await answers(sending)
    })
    const stop = (signal: NodeJS.Signals) =>
      Effect.promise(async () => {
        for (const child of running) await end(child, signal)
      })
    yield* Effect.acquireRelease(start, () => stop("SIGKILL"))
    /** Sends by Kannel itself, with a report wanted. */
    const send = (from: string, to: string, text: string) =>
      Effect.promise(async () => {
        const query = new URLSearchParams({
          ...{ username: "tester", password: "tester", from, to, text, charset: "UTF-8", "dlr-mask": "3" },
          "dlr-url": `http://127.0.0.1:${own}/report?state=%d`
        })
        const response = await fetch(`http://127.0.0.1:${sending}/cgi-bin/sendsms?${query}`)
        return response.text()
      })
    return { taken, reports, send, start, stop }
  })
