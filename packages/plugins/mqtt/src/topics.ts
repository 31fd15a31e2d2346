/**
 * Which topic says what. Topics of a device that has shown us its credential, and topics of an outside broker, where the broker's own
 * access rules vouch for the names in them.
 */
import type { DeviceCommand, DeviceSession, PayloadFormat, Sender } from "@mahalla/core/plugin"

export type Route =
  | { readonly kind: "message"; readonly format: PayloadFormat }
  /** The device answers a command: `request` is ThingsBoard's number, without it the payload names the command's id. */
  | { readonly kind: "answer"; readonly request?: string }
  /** A gateway answers a command to a device behind it; the payload has ThingsBoard's number. */
  | { readonly kind: "gateway-answer" }
  /** Asked for or announced something that we do not keep; the device is told nothing is wrong. */
  | { readonly kind: "nothing" }
  | { readonly kind: "refused"; readonly reason: string }

const message = (format: PayloadFormat): Route => ({ kind: "message", format })
const refused = (reason: string): Route => ({ kind: "refused", reason })

const own: Readonly<Record<string, Route>> = {
  telemetry: message("profile"),
  attributes: message("attributes"),
  senml: message("senml-json"),
  "senml-cbor": message("senml-cbor"),
  answer: { kind: "answer" }
}

/** ThingsBoard's device and gateway API for MQTT. */
const thingsBoard: Readonly<Record<string, Route>> = {
  "v1/devices/me/telemetry": message("json"),
  "v1/devices/me/attributes": message("attributes"),
  "v1/gateway/telemetry": message("gateway-json"),
  "v1/gateway/attributes": message("gateway-attributes"),
  "v1/gateway/rpc": { kind: "gateway-answer" },
  "v1/gateway/connect": { kind: "nothing" },
  "v1/gateway/disconnect": { kind: "nothing" }
}

/** An outside broker brings each of many messages by it: not taken apart by `split`. */
const ownTopic = /^mahalla\/([^/]+)\/([^/]+)\/([^/]+)$/

/** Networks of devices; each is known by the beginning of its topics. */
const networks: ReadonlyArray<{ readonly begins: string; readonly format: PayloadFormat; readonly topic: RegExp }> = [
  { begins: "application/", format: "chirpstack", topic: /^application\/[^/]+\/device\/([^/]+)\/event\/[^/]+$/ },
  {
    begins: "v3/",
    format: "things-stack",
    topic: /^v3\/[^/]+\/devices\/([^/]+)\/(?:up|join|down\/(?:queued|sent|ack|nack|failed))$/
  },
  { begins: "spBv1.0/", format: "sparkplug", topic: /^spBv1\.0\/[^/]+\/[ND](?:BIRTH|DEATH|DATA)\/([^/]+)(?:\/[^/]+)?$/ }
]

/** What a connected device may publish to. A topic that we do not know is its own affair: its profile may say how to read it. */
export const routeOfDevice = (session: DeviceSession, topic: string): Route => {
  if (topic.length > 1_024) return refused("The topic is longer than 1,024 characters.")
  const known = Object.hasOwn(thingsBoard, topic) ? thingsBoard[topic] : undefined
  if (known !== undefined)
    return topic.startsWith("v1/gateway/") && !session.gateway ? refused("This device is no gateway.") : known
  const [first, second, third, fourth, ...more] = topic.split("/")
  if (first === "mahalla") {
    const route = fourth !== undefined && more.length === 0 && Object.hasOwn(own, fourth) ? own[fourth] : undefined
    return second === session.tenant && third === session.device && route !== undefined
      ? route
      : refused("A device sends on its own topics only.")
  }
  if (topic.startsWith("v1/devices/me/rpc/response/"))
    return { kind: "answer", request: topic.slice("v1/devices/me/rpc/response/".length) }
  if (topic.startsWith("v1/devices/me/attributes/request/")) return { kind: "nothing" }
  const network = networks.find(({ begins }) => topic.startsWith(begins))
  if (network !== undefined)
    return session.gateway && network.topic.test(topic)
      ? message(network.format)
      : refused("Only a gateway sends for a network of devices.")
  if (topic.startsWith("$") || first === "v1") return refused("Nobody reads this topic.")
  return message("profile")
}

/** `own`, `thingsboard`: commands to the device. `gateway`: to devices behind it. `raw`: as the host has encoded them, on their own topics. */
export type CommandStyle = "own" | "thingsboard" | "gateway" | "raw"

/** What a connected device may subscribe to: where its own commands arrive, and what ThingsBoard's clients expect to be allowed. */
export const commandTopicOf = (session: DeviceSession, filter: string): CommandStyle | "silent" | undefined => {
  if (filter === `mahalla/${session.tenant}/${session.device}/command`) return "own"
  if (filter === "v1/devices/me/rpc/request/+") return "thingsboard"
  if (filter === "v1/devices/me/attributes" || filter === "v1/devices/me/attributes/response/+") return "silent"
  if (!session.gateway) return undefined
  if (filter === "v1/gateway/rpc") return "gateway"
  if (filter === "v1/gateway/attributes" || filter === "v1/gateway/attributes/response") return "silent"
  // Only what is for devices behind this gateway comes to it, so the filter may be as wide as its client likes.
  return networks.some(({ begins }) => filter.startsWith(begins)) ? "raw" : undefined
}

/** Whether a topic is one of a filter's (MQTT 3.1.1, section 4.7). */
export const isIn = (filter: string, topic: string): boolean => {
  const [wanted, levels] = [filter.split("/"), topic.split("/")]
  for (const [index, level] of wanted.entries()) {
    if (level === "#") return true
    if (index >= levels.length || (level !== "+" && level !== levels[index])) return false
  }
  return wanted.length === levels.length
}

/** Which topics of an outside broker are ours. */
export interface Sources {
  /** Before every topic, with its slash: `city/`. */
  readonly prefix: string
  /** `mahalla`: `mahalla/{tenant}/{device}/…`. The others know no tenants; their devices are all of `tenant`. */
  readonly kinds: ReadonlyArray<"mahalla" | "chirpstack" | "things-stack" | "sparkplug">
  readonly tenant: string
  /** Of whose devices `mahalla/{tenant}/…` is believed; undefined: of every tenant. */
  readonly tenants: ReadonlyArray<string> | undefined
}

const vouchesFor = ({ tenants }: Sources, tenant: string) => tenants === undefined || tenants.includes(tenant)

const filters = {
  mahalla: ["mahalla/+/+/telemetry", "mahalla/+/+/attributes", "mahalla/+/+/senml", "mahalla/+/+/senml-cbor"],
  chirpstack: ["application/+/device/+/event/+"],
  "things-stack": [
    "v3/+/devices/+/up",
    "v3/+/devices/+/join",
    ...["queued", "sent", "ack", "nack", "failed"].map((word) => `v3/+/devices/+/down/${word}`)
  ],
  sparkplug: ["spBv1.0/#"]
} as const

/** What to subscribe to. `share`: name of a group of consumers that divide the messages among them. */
export const filtersOf = ({ kinds, prefix }: Sources, share?: string): ReadonlyArray<string> =>
  kinds.flatMap((kind) =>
    filters[kind].map((filter) => `${share === undefined ? "" : `$share/${share}/`}${prefix}${filter}`)
  )

/** Whether these sources are the way of a command: what is in a network's bytes goes where that network is read. */
export const takesCommand = (sources: Sources, command: DeviceCommand): boolean => {
  const { kinds, tenant } = sources
  const { raw } = command
  if (raw === undefined) return kinds.includes("mahalla") && vouchesFor(sources, command.tenant)
  const network = networks.find(({ begins }) => raw.topic.startsWith(begins))
  return network !== undefined && isKind(kinds, network.format) && command.tenant === tenant
}

const isKind = (kinds: ReadonlyArray<string>, format: PayloadFormat) => kinds.includes(format)

/** The Things Stack calls a device by an id of its own; here it is called by its DevEUI, as where it comes by a webhook. */
const euiIn = (payload: Uint8Array): string | undefined => {
  try {
    const eui: unknown = JSON.parse(Buffer.from(payload).toString("utf8"))?.end_device_ids?.dev_eui
    return typeof eui === "string" && /^[0-9A-Fa-f]{16}$/.test(eui) ? eui.toLowerCase() : undefined
  } catch {
    return undefined
  }
}

/** Whose message it is and how to read it; undefined for a topic that is none of ours. */
export const routeOfBroker = (
  sources: Sources,
  topic: string,
  payload: Uint8Array
): { readonly from: Sender; readonly format: PayloadFormat } | undefined => {
  const { kinds, prefix, tenant } = sources
  if (topic.length > 1_024 || !topic.startsWith(prefix)) return undefined
  const rest = topic.slice(prefix.length)
  const parts = kinds.includes("mahalla") ? ownTopic.exec(rest) : null
  if (parts !== null) {
    const [, ofTenant, device, word] = parts as unknown as readonly [string, string, string, string]
    const route = Object.hasOwn(own, word) ? own[word] : undefined
    if (route?.kind === "message" && vouchesFor(sources, ofTenant))
      return { from: { tenant: ofTenant, device }, format: route.format }
  }
  const network = networks.find(({ begins }) => rest.startsWith(begins))
  const named = network?.topic.exec(rest)?.[1]
  if (network === undefined || named === undefined || !isKind(kinds, network.format)) return undefined
  const device = (network.format === "things-stack" ? euiIn(payload) : undefined) ?? named
  // An edge node of Sparkplug speaks for the devices behind it.
  const gateway = network.format === "sparkplug" ? { gateway: true } : {}
  return { from: { tenant, device, ...gateway }, format: network.format }
}
