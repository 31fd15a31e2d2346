/**
 * The edge: a small process between devices and a city that cannot always be reached. It takes messages by MQTT 3.1.1 and HTTP, has them on its disk
 * before it acknowledges them, and brings them to the city through the gateway API when there is a way.
 */
import { mkdir } from "node:fs/promises"
import { serveBroker } from "@mahalla/mqtt"
import * as Effect from "effect/Effect"
import { type Certificate, openDoor } from "./door.ts"
import { devicesFile, everybody, readDevices } from "./devices.ts"
import { openEdgeLog } from "./EdgeLog.ts"
import { forward, readCursor } from "./Forward.ts"
import { makeEdgeHost } from "./host.ts"
import { lockFolder } from "./lock.ts"

export { edgeStatus, type EdgeStatus } from "./status.ts"

export interface EdgeOptions {
  /** Where the log lies; made where it is not there. */
  readonly folder: string
  /** `mqtt://host:port` and `http://host:port`, or `mqtts://` and `https://` with TLS; port 0 takes a free one. */
  readonly listen: ReadonlyArray<string>
  /** Paths of PEM files; needed for listening with TLS. */
  readonly tls?: Certificate
  /** `https://city.example/t/slug`, or without `/t/slug` where the host has one city only. */
  readonly to: string
  /** Token of a device of the city that is a gateway. */
  readonly token: string
  /** Takes messages from everybody; default: from the devices of `devices.json` in the folder. */
  readonly open?: boolean
  /** Bytes on disk at which no more is taken. Default 4 GiB. */
  readonly limit?: number
  /** Bytes of one file of the log. Default 8 MiB. */
  readonly segmentBytes?: number
}

const city = (to: string): { readonly base: string; readonly tenant: string } => {
  const url = URL.parse(to)
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new Error(`${to}: an edge brings messages to a city by HTTP, as https://city.example/t/slug.`)
  const base = `${url.origin}${url.pathname.replace(/\/+$/, "")}`
  return { base, tenant: /\/t\/([a-z0-9-]+)$/.exec(base)?.[1] ?? "edge" }
}

const place = (address: string) => {
  const url = URL.parse(address)
  if (url === null)
    throw new Error(`${address}: no address to listen at. Write mqtt://0.0.0.0:1883 or http://0.0.0.0:8080.`)
  const { hostname, port, protocol } = url
  return { protocol, host: hostname.replaceAll(/^\[|\]$/g, ""), port: port === "" ? undefined : Number(port) }
}

const attempt = <A>(run: () => A | Promise<A>) =>
  Effect.tryPromise({ try: async () => run(), catch: (error) => error as Error })

/**
 * Opens an edge until the scope's end; gives the addresses where devices find it. Fails with what stands in its way: an address that is taken, a folder
 * that cannot be written, an edge that is already at work in it, a list of devices that is not in order.
 */
export const openEdge = Effect.fnUntraced(function* (options: EdgeOptions) {
  const { folder, limit = 4 * 1_024 ** 3, segmentBytes = 8_388_608, token } = options
  const { base, tenant } = yield* attempt(() => city(options.to))
  yield* attempt(() => mkdir(folder, { recursive: true, mode: 0o700 }))
  const complain = (error: Error) =>
    Effect.runFork(
      Effect.logWarning(`edge: devices.json is not in order, the devices stay as they were: ${error.message}`)
    )
  const devices =
    options.open === true
      ? everybody
      : yield* attempt(() => readDevices(folder, complain)).pipe(
          Effect.mapError(
            ({ message }) =>
              new Error(
                `${devicesFile(folder)} cannot be used: ${message}\nWrite there who may send, as {"name": "token of 16 characters at least"}, or start with --open in a network that nobody else can reach.`
              )
          )
        )
  yield* lockFolder(folder)
  const log = yield* Effect.acquireRelease(
    attempt(async () => openEdgeLog({ folder, limit, segmentBytes, after: (await readCursor(folder)).segment })),
    (opened) => Effect.promise(() => opened.close())
  )
  yield* Effect.forkScoped(forward({ folder, log, to: base, token }))
  const host = makeEdgeHost(log, devices, tenant)
  const addresses: Array<string> = []
  for (const address of options.listen) {
    const { port, protocol, ...at } = yield* attempt(() => place(address))
    const { tls } = options
    if (protocol === "mqtt:")
      addresses.push(...(yield* serveBroker({ tcp: { host: at.host, port: port ?? 1883 } }, host)).addresses)
    else if (protocol === "http:") addresses.push((yield* openDoor(host, at.host, port ?? 8080)).url)
    else if (protocol !== "mqtts:" && protocol !== "https:")
      return yield* Effect.fail(new Error(`${address}: an edge listens on mqtt:// and http:// addresses.`))
    else if (tls === undefined)
      return yield* Effect.fail(new Error(`${address}: give a certificate and its key to listen with TLS.`))
    else if (protocol === "https:") addresses.push((yield* openDoor(host, at.host, port ?? 8443, tls)).url)
    else addresses.push(...(yield* serveBroker({ tls: { host: at.host, port: port ?? 8883, ...tls } }, host)).addresses)
  }
  return { addresses, log }
})
