/** What the edge is to a transport: it lets devices in by its own list, and has taken a message when it is on disk. */
import { createHash, randomUUID } from "node:crypto"
import { DeviceIngestError, type DeviceSession, type IngestHost, type IngestMessage } from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { boot, uptimeMillis } from "./boot.ts"
import type { EdgeDevices } from "./devices.ts"
import type { EdgeLog } from "./EdgeLog.ts"
import { type EdgeRecord, maxPayload } from "./frame.ts"

const unauthorized = new DeviceIngestError({
  reason: "Unauthorized",
  operation: "authenticate",
  subject: "device",
  message: "These credentials are not known to the edge. Add the device to its devices.json.",
  retryable: false
})

const unavailable = (error: Error) =>
  new DeviceIngestError({
    reason: "Unavailable",
    operation: "receive",
    subject: "log",
    message: error.message,
    retryable: true,
    cause: error
  })

/** UUIDs of devices that the edge knows by name only. */
const idOf = (name: string): string => {
  const hex = createHash("sha256").update(name).digest("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

const deviceOf = ({ from }: IngestMessage): string => ("session" in from ? from.session.device : from.device)

/**
 * Times of arrival, no two alike for one device: the city takes two values of one moment for one value. One that is behind the last by more than a
 * second is of a clock that was set back.
 */
export const makeStamp = () => {
  const last = new Map<string, number>()
  return (device: string, now: number): number => {
    const before = last.get(device)
    const at = before !== undefined && before >= now && before - now < 1_000 ? before + 1 : now
    last.set(device, at)
    // Most are of the past: then they say nothing any more.
    if (last.size > 50_000) for (const [name, one] of last) if (one < now) last.delete(name)
    return at
  }
}

/** `tenant`: the city's slug, as it stands in topics. */
export const makeEdgeHost = (log: EdgeLog, devices: EdgeDevices, tenant: string): IngestHost => {
  const stamp = makeStamp()
  /** What open sessions have shown. */
  const shownIn = new Map<string, string>()
  return {
    maxBatch: 2_000,
    maxPayload,
    authenticate: (credential) =>
      Effect.suspend(() => {
        const shown =
          credential.kind === "token" ? credential.token : credential.kind === "basic" ? credential.password : undefined
        const device = shown === undefined ? undefined : devices.byToken(shown)
        if (
          shown === undefined ||
          device === undefined ||
          (credential.kind === "basic" && credential.user !== device.name)
        )
          return Effect.fail(unauthorized)
        const deviceId = idOf(device.name)
        const session: DeviceSession = {
          id: randomUUID(),
          deviceId,
          tenantId: tenant,
          tenant,
          device: device.name,
          gateway: device.gateway
        }
        shownIn.set(session.id, shown)
        return Effect.succeed(session)
      }),
    renew: ({ device, gateway, id }) =>
      Effect.suspend(() => {
        const now = devices.byToken(shownIn.get(id) ?? "")
        return now?.name === device && now.gateway === gateway ? Effect.void : Effect.fail(unauthorized)
      }),
    closed: ({ id }) => Effect.sync(() => void shownIn.delete(id)),
    receive: (messages) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const records = messages.map((message): EdgeRecord => {
          const device = deviceOf(message)
          const { format, from, payload } = message
          const gateway = "session" in from && from.session.gateway
          return { device, gateway, format, payload, receivedAt: stamp(device, now) }
        })
        return Effect.tryPromise({
          try: () => log.append(records, { wall: now, uptime: uptimeMillis(), boot }),
          catch: (error) => unavailable(error as Error)
        }).pipe(Effect.as(messages.map(() => ({ state: "stored" }) as const)))
      }),
    // Commands need the city at the moment they are given.
    commands: Stream.never,
    commandState: () => Effect.void
  }
}
