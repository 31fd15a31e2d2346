/**
 * Where the network of a device takes what is for it: a topic beside the one on which the device was heard. Learnt from messages, for only the network
 * knows its applications and groups.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { TenantTx } from "../../kernel/db/Database.ts"
import { sent } from "../../kernel/db/pipelined.ts"
import type { IngestMessage } from "../../ports/DeviceIngest.ts"
import type { DecodeResult, Decoding } from "./decode/decoding.ts"
import { parseTopic } from "./decode/sparkplug/topic.ts"
import { deviceNameOf } from "./rawMessages.ts"
import type { Device, Registry } from "./registry.ts"

/** The topic for commands beside one of messages; undefined where it is no network's, as that of a webhook. */
export const downlinkOf = ({ format, topic }: Pick<IngestMessage, "format" | "topic">): string | undefined => {
  if (format === "chirpstack") {
    const [, device] = /^(application\/[^/]+\/device\/[^/]+)\/event\/[a-z]+$/.exec(topic) ?? []
    return device === undefined ? undefined : `${device}/command/down`
  }
  if (format === "things-stack") {
    const [, device] = /^(v3\/[^/]+\/devices\/[^/]+)\/(?:up|join|down\/[a-z]+)$/.exec(topic) ?? []
    return device === undefined ? undefined : `${device}/down/push`
  }
  const { device, group, node, type } = (format === "sparkplug" ? parseTopic(topic) : undefined) ?? {}
  if (type === undefined || type === "STATE") return undefined
  return `spBv1.0/${group}/${device === undefined ? `NCMD/${node}` : `DCMD/${node}/${device}`}`
}

/** Devices that messages are of: those of their values, else the sender. */
const devicesIn = (registry: Registry, sender: Device, { readings, statuses }: Decoding) => {
  const names = new Set([...readings, ...statuses].map(({ device }) => device ?? sender.name))
  return [...names].flatMap((name) => {
    const device = registry.byName.get(name)
    return device === sender || (device !== undefined && device.parentId === sender.id) ? [device] : []
  })
}

/** By id of the device, where it is another than when the device was loaded, or may be; null: it is heard directly. */
export const downlinksOf = (
  registry: Registry,
  messages: ReadonlyArray<IngestMessage>,
  results: ReadonlyArray<DecodeResult | undefined>
): ReadonlyMap<string, string | null> => {
  const topics = new Map<string, string | null>()
  messages.forEach((message, place) => {
    const sender = registry.byName.get(deviceNameOf(message))
    const result = results[place]
    if (sender === undefined || result === undefined || Result.isFailure(result)) return
    const topic = downlinkOf(message)
    if (topic !== undefined) for (const { id } of devicesIn(registry, sender, result.success)) topics.set(id, topic)
    // By a webhook nothing is learnt.
    else if (sender.downlink !== null && (message.format === "profile" || message.format === "json"))
      topics.set(sender.id, null)
  })
  return topics
}

export interface Downlink {
  readonly deviceId: string
  readonly topic: string | null
}

/** What is not known yet. */
export const newsOf = (
  known: ReadonlyMap<string, string | null>,
  topics: ReadonlyMap<string, string | null>
): ReadonlyArray<Downlink> =>
  [...topics].flatMap(([deviceId, topic]) => (known.get(deviceId) === topic ? [] : [{ deviceId, topic }]))

/** In the transaction of the messages. */
export const storeDownlinks = Effect.fnUntraced(function* (downlinks: ReadonlyArray<Downlink>) {
  const { sql, tenantId } = yield* TenantTx
  const rows = [...downlinks].sort((left, right) => (left.deviceId < right.deviceId ? -1 : 1))
  yield* sent(sql`
    update mahalla.device d set downlink = r.topic
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as r ("deviceId" uuid, topic text)
    where d.tenant_id = ${tenantId} and d.id = r."deviceId" and d.downlink is distinct from r.topic`)
})
