/** Commands and their answers as packets: our own topics, ThingsBoard's RPC, and what the host has encoded for others. */
import type { CommandState, DeviceCommand } from "@mahalla/core/plugin"
import type { IPublishPacket } from "mqtt-packet"
import type { CommandStyle } from "./topics.ts"

const bytesOf = ({ device, id, method, params, raw }: DeviceCommand, style: CommandStyle, number: number) => {
  if (raw !== undefined) return Buffer.from(raw.payload)
  if (style === "own") return JSON.stringify({ id, method, params })
  return JSON.stringify(style === "gateway" ? { device, data: { id: number, method, params } } : { method, params })
}

/** `filter`: the subscription's; ThingsBoard's ends with a plus, where its number goes. */
export const commandPacket = (
  command: DeviceCommand,
  style: CommandStyle,
  filter: string,
  number: number,
  qos: 0 | 1
): IPublishPacket & { readonly cmd: "publish" } => ({
  cmd: "publish",
  qos,
  dup: false,
  retain: false,
  topic: command.raw?.topic ?? (style === "thingsboard" ? `${filter.slice(0, -1)}${number}` : filter),
  payload: bytesOf(command, style, number)
})

/** What a gateway says of a command to a device behind it: ThingsBoard's number and the answer. */
export const gatewayAnswer = (
  payload: string | Buffer
): { readonly number: string; readonly answer: unknown } | undefined => {
  const { data, id } = record(parsed(payload))
  return typeof id === "number" || typeof id === "string" ? { number: String(id), answer: data ?? null } : undefined
}

const parsed = (payload: string | Buffer): unknown => {
  const text = payload.toString("utf8")
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const record = (value: unknown) =>
  (typeof value === "object" && value !== null ? value : {}) as Readonly<Record<string, unknown>>

/** What a device's answer says; undefined where it belongs to no command. `asked`: the command by ThingsBoard's number. */
export const answerOf = (
  payload: string | Buffer,
  asked?: { readonly id: string | undefined }
): { readonly id: string; readonly state: CommandState } | undefined => {
  const said = parsed(payload)
  if (asked !== undefined)
    return asked.id === undefined ? undefined : { id: asked.id, state: { state: "answered", answer: said } }
  const { answer, error, id } = record(said)
  if (typeof id !== "string") return undefined
  return {
    id,
    state:
      typeof error === "string"
        ? { state: "failed", message: error.slice(0, 1_000) }
        : { state: "answered", answer: answer ?? null }
  }
}
