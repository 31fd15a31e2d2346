/**
 * The host's side of Sparkplug B 3.0 for one edge node: what a message means, given those before it. Births name the metrics and their
 * types, later messages may use numbers instead (aliases); so the state is kept beside the readings, in the same transaction.
 *
 * A message of the edge node itself is the sender's; one of a device has the device's id as `device`. Readings have no `sequence`, for a
 * birth repeats values that were sent before, with their own time. Metrics called `bdSeq`, `Node Control/…` and `Device Control/…` are not
 * measured.
 */
import * as Result from "effect/Result"
import {
  type DecodeFailure,
  type Decoding,
  failed,
  gather,
  type Gathering,
  isTime,
  maxValues,
  quote
} from "../decoding.ts"
import { bits, decodePayload, type Metric, type Payload, rebirthPayload } from "./payload.ts"
import { type SparkplugTopic, parseTopic } from "./topic.ts"
import { valueOf } from "./value.ts"

/** JSON, to be stored as it is. */
export interface EdgeNodeState {
  /** `group/node` that has been born: aliases and numbers are its own. */
  readonly node?: string
  readonly online: boolean
  /** Messages were lost since the last NBIRTH, and with them perhaps a birth: what aliases mean is not sure. */
  readonly unsure?: boolean
  /** Devices whose birth has come and whose death has not. */
  readonly devices: ReadonlyArray<string>
  /** `bdSeq` of the last NBIRTH: only the death with the same number is its. */
  readonly bdSeq?: number
  /** Of the last message, 0–255. */
  readonly seq?: number
  /** Data types by path, which is `device/metric`; the device is empty for the edge node's own. */
  readonly types: Readonly<Record<string, number>>
  /** Paths by alias, in decimal. */
  readonly aliases: Readonly<Record<string, string>>
  /** When a birth was asked for that has not come; epoch milliseconds. */
  readonly askedAt?: number
}

/** An edge node of which nothing has come. */
export const newEdgeNode: EdgeNodeState = { online: false, devices: [], types: {}, aliases: {} }

export interface SparkplugMessage {
  readonly topic: string
  readonly payload: Uint8Array
  /** Epoch milliseconds. */
  readonly receivedAt: number
}

export interface Step {
  readonly state: EdgeNodeState
  readonly decoding: Decoding
  /** To be published once the state is committed: a request to be born again. Repeated after a minute without a birth. */
  readonly ask?: { readonly topic: string; readonly payload: Uint8Array }
}

/** Milliseconds in which an edge node should have answered a request. */
const patience = 60_000

/** Characters of the names that the births of one edge node may give: they are kept, and read with each of its messages. */
const mostNames = 4_000_000

const namesIn = ({ devices, types, aliases }: EdgeNodeState): number =>
  [...devices, ...Object.keys(types), ...Object.values(aliases)].reduce((sum, name) => sum + name.length + 16, 0)

const isControl = (name: string) => name === "bdSeq" || /^(?:Node|Device) Control\//.test(name)

/** The path of a metric in a birth or of one that gives its name; of others by alias. */
const pathOf = (metric: Metric, device: string, aliases: EdgeNodeState["aliases"]): string | undefined =>
  metric.name !== undefined && metric.name !== ""
    ? `${device}/${metric.name}`
    : metric.alias === undefined
      ? undefined
      : aliases[bits(metric.alias).toString()]

/** Metrics of a birth, instead of those that the device had. */
const born = (state: EdgeNodeState, device: string, { metrics }: Payload): EdgeNodeState => {
  const others = <A>(record: Readonly<Record<string, A>>, path: (entry: [string, A]) => string) =>
    Object.entries(record).filter((entry) => !path(entry).startsWith(`${device}/`))
  const named = metrics.filter((metric) => metric.name !== undefined && metric.name !== "")
  return {
    ...state,
    types: Object.fromEntries([
      ...others(state.types, ([path]) => path),
      ...named.flatMap(({ name, datatype }) =>
        datatype === undefined ? [] : [[`${device}/${name}`, datatype] as const]
      )
    ]),
    aliases: Object.fromEntries([
      ...others(state.aliases, ([, path]) => path),
      ...named.flatMap(({ alias, name }) =>
        alias === undefined ? [] : [[bits(alias).toString(), `${device}/${name}`] as const]
      )
    ])
  }
}

/** Takes the metrics' values. Says whether one of them can be read only after a birth. `sure`: default true, what aliases mean is known. */
const take = (
  into: Gathering,
  state: EdgeNodeState,
  message: { device: string | undefined; payload: Payload; receivedAt: number; sure?: boolean }
) => {
  const { device, payload, receivedAt, sure = true } = message
  const time = (metric: Metric) => {
    const told = metric.timestamp ?? payload.timestamp
    return told === undefined ? receivedAt : Number(bits(told))
  }
  let unknown = false
  for (const metric of payload.metrics) {
    const path = pathOf(metric, device ?? "", sure ? state.aliases : {})
    // An alias of another device of this edge node is its mistake.
    if (path === undefined || !path.startsWith(`${device ?? ""}/`)) {
      unknown = true
      const why = sure ? "has an alias that no birth has named" : "has an alias, and messages were lost since the birth"
      into.reject("unknown-datastream", `A metric ${why}.`, { device })
      continue
    }
    const name = path.slice(path.indexOf("/") + 1)
    if (isControl(name)) continue
    const at = time(metric)
    const value = valueOf(metric, state.types[path])
    const place = { device, at, historical: metric.isHistorical }
    if (!isTime(at)) into.reject("malformed", `The time of ${quote(name)} is beyond all calendars.`, { device })
    else if (metric.isTransient === true) into.warn(`${quote(name)} is not to be stored.`)
    else if ("number" in value) into.reading(place, name, value.number)
    else if ("text" in value) {
      // A state from memory is not the state.
      if (metric.isHistorical !== true) into.attribute(place, name, value.text)
    } else if ("left" in value) into.warn(`${quote(name)} is left out: ${value.left}.`)
    else {
      unknown = true
      into.reject("malformed", `No birth has told the type of ${quote(name)}.`, { device })
    }
  }
  return unknown
}

const bdSeqOf = (payload: Payload): number | undefined => {
  const metric = payload.metrics.find(({ name }) => name === "bdSeq")
  const value = metric === undefined ? undefined : valueOf({ datatype: 8, ...metric }, undefined)
  return value !== undefined && "number" in value ? value.number : undefined
}

const death = (state: EdgeNodeState, payload: Payload, receivedAt: number, into: Gathering): EdgeNodeState => {
  const bdSeq = bdSeqOf(payload)
  if (state.bdSeq !== undefined && bdSeq !== state.bdSeq) {
    into.warn(`A death of an earlier connection: bdSeq ${bdSeq ?? "is missing"}, the last birth had ${state.bdSeq}.`)
    return state
  }
  // Its own time is when it was left with the broker, long before.
  for (const device of [undefined, ...state.devices]) into.status({ device, at: receivedAt }, { offline: true })
  return { ...state, online: false, devices: [] }
}

/** The state and readings after a birth or data. */
const alive = (state: EdgeNodeState, topic: SparkplugTopic, payload: Payload, receivedAt: number, into: Gathering) => {
  const { device, type } = topic
  // Encoders with proto3's idea of presence leave out a zero.
  const seq = payload.seq === undefined ? 0 : Number(bits(payload.seq))
  const expected = state.seq === undefined ? undefined : (state.seq + 1) % 256
  const gap = type !== "NBIRTH" && (!state.online || seq !== expected)
  if (gap && state.online) into.warn(`Messages are missing: seq is ${seq}, expected ${expected}.`)
  const told = payload.timestamp === undefined ? receivedAt : Number(bits(payload.timestamp))
  const at = isTime(told) ? told : receivedAt
  // Who does not answer for a minute when it is asked for a birth has none to tell of; one that was away has.
  const silent = state.askedAt !== undefined && receivedAt - state.askedAt >= patience
  const unsure = gap || state.unsure === true
  const sure = state.online && (!unsure || silent)
  const next: EdgeNodeState = { ...state, seq, ...(unsure ? { unsure } : {}) }

  if (type === "DDEATH") {
    into.status({ device, at }, { offline: true })
    return { state: { ...next, devices: state.devices.filter((other) => other !== device) }, unknown: gap }
  }
  into.status({ device, at }, {})
  if (type === "NBIRTH") {
    const bdSeq = bdSeqOf(payload)
    const fresh: EdgeNodeState = {
      ...newEdgeNode,
      node: nodeOf(topic),
      online: true,
      seq,
      ...(bdSeq === undefined ? {} : { bdSeq })
    }
    const reborn = born(fresh, "", payload)
    return { state: reborn, unknown: take(into, reborn, { device, payload, receivedAt }) }
  }
  if (type === "DBIRTH") {
    const devices = [...state.devices.filter((other) => other !== device), device!]
    const reborn = born({ ...next, devices }, device!, payload)
    return { state: reborn, unknown: take(into, reborn, { device, payload, receivedAt }) || gap }
  }
  const unborn = device !== undefined && !state.devices.includes(device)
  return { state: next, unknown: take(into, next, { device, payload, receivedAt, sure }) || gap || unborn }
}

const nodeOf = ({ group, node }: SparkplugTopic): string => `${group}/${node}`

/** Whether a message is of another edge node than the one that is known; a birth replaces one that is away. */
const isOther = (state: EdgeNodeState, topic: SparkplugTopic) =>
  state.node !== undefined && state.node !== nodeOf(topic) && (state.online || topic.type !== "NBIRTH")

/** Fails, with the state as it was, for what is not Sparkplug. Commands and the state of hosts mean nothing here. */
export const step = (state: EdgeNodeState, message: SparkplugMessage): Result.Result<Step, DecodeFailure> => {
  const topic = parseTopic(message.topic)
  if (topic === undefined) return failed("malformed", "The topic is not one of Sparkplug's.")
  const into = gather()
  if (topic.type === "STATE" || topic.type === "NCMD" || topic.type === "DCMD")
    return Result.succeed({ state, decoding: into.held() })
  // Names of edge nodes are their groups' own: two of one name must not be read with each other's aliases.
  if (isOther(state, topic))
    return failed(
      "not-allowed",
      `This device stands for the edge node ${quote(state.node!)}; ${quote(nodeOf(topic))} needs a device or a gateway of its own.`
    )
  return Result.flatMap(decodePayload(message.payload), (payload) => {
    if (payload.metrics.length > maxValues) return failed("too-large", `A message holds at most ${maxValues} metrics.`)
    if (topic.type === "NDEATH") {
      const after = death(state, payload, message.receivedAt, into)
      return Result.succeed({ state: after, decoding: into.held() })
    }
    const { state: after, unknown } = alive(state, topic, payload, message.receivedAt, into)
    if (topic.type.endsWith("BIRTH") && namesIn(after) > mostNames)
      return failed("too-large", `The births of ${quote(topic.node)} name more metrics than are kept of one edge node.`)
    const waiting = after.askedAt !== undefined && message.receivedAt - after.askedAt < patience
    if (!unknown || waiting) return Result.succeed({ state: after, decoding: into.held() })
    return Result.succeed({
      state: { ...after, askedAt: message.receivedAt },
      decoding: into.held(),
      ask: {
        topic: `spBv1.0/${topic.group}/NCMD/${topic.node}`,
        payload: rebirthPayload(message.receivedAt)
      }
    })
  })
}
