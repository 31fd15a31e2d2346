/** From what messages hold to readings that can be stored, and to what cannot. Pure: everything it needs of the devices is in the registry. */
import * as Result from "effect/Result"
import type { IngestMessage, IngestOutcome } from "../../ports/DeviceIngest.ts"
import { type Checked, checkReading, type Unfit } from "./check.ts"
import type { CommandNews } from "./commands.ts"
import type { DecodeResult } from "./decode/decoding.ts"
import type { DeviceStatus } from "./model.ts"
import { deviceNameOf } from "./rawMessages.ts"
import type { Device, Registry } from "./registry.ts"

/** A message, or part of one, that goes to the dead letters. */
export interface DeadLetter extends Unfit {
  readonly message: IngestMessage
  readonly device: Device | undefined
  readonly name: string
}

export interface Read {
  /** In the order of the messages. */
  readonly readings: ReadonlyArray<Checked>
  readonly statuses: ReadonlyArray<DeviceStatus & { readonly deviceId: string }>
  readonly dead: ReadonlyArray<DeadLetter>
  readonly commands: ReadonlyArray<Required<CommandNews>>
  readonly outcomes: ReadonlyArray<IngestOutcome>
}

const stored: IngestOutcome = { state: "stored" }

/** Names of devices that messages are from, as far as their envelope says. */
export const namesOf = (messages: ReadonlyArray<IngestMessage>): Set<string> => new Set(messages.map(deviceNameOf))

/** Names of devices behind gateways that decoded messages are about and the registry does not know. */
export const unknownOf = (registry: Registry, results: ReadonlyArray<DecodeResult | undefined>): Set<string> => {
  const names = new Set<string>()
  const note = (name: string | undefined) => {
    if (name !== undefined && !registry.byName.has(name)) names.add(name)
  }
  for (const result of results)
    if (result !== undefined && Result.isSuccess(result)) {
      for (const { device } of result.success.readings) note(device)
      for (const { device } of result.success.statuses) note(device)
    }
  return names
}

/** `now`: of messages that came long ago; default, they come at this moment. */
export const readMessages = (
  registry: Registry,
  messages: ReadonlyArray<IngestMessage>,
  results: ReadonlyArray<DecodeResult | undefined>,
  now?: number
): Read => {
  const readings: Array<Checked> = []
  const statuses: Array<DeviceStatus & { readonly deviceId: string }> = []
  const commands: Array<Read["commands"][number]> = []
  const dead: Array<DeadLetter> = []
  const outcomes = messages.map((message, place): IngestOutcome => {
    const name = deviceNameOf(message)
    const sender = registry.byName.get(name)
    let outcome: IngestOutcome = stored
    /** A message is kept once, with the first reason. */
    const bury = (unfit: Unfit, device = sender): IngestOutcome => {
      if (outcome === stored) dead.push({ ...unfit, message, device, name })
      return (outcome = { state: "dead", reason: unfit.detail })
    }
    if (sender === undefined)
      return bury({ reason: "unknown-device", detail: `There is no device ${name.slice(0, 100)}.` })
    if (sender.blocked) return { state: "refused", reason: `${name} is blocked.` }
    const result = results[place]
    // Not decoded: it was registered between the look-up and now.
    if (result === undefined)
      return bury({ reason: "unknown-device", detail: `${name} was not known yet. Send it again.` })
    if (Result.isFailure(result)) return bury({ reason: result.failure.reason, detail: result.failure.message })
    const decoding = result.success
    /** The device that a value is of: the sender, or one behind it. */
    const of = (child: string | undefined): Device | Unfit => {
      if (child === undefined || child === sender.name) return sender
      const found = registry.byName.get(child)
      if (found === undefined) return { reason: "unknown-device", detail: `There is no device ${child.slice(0, 100)}.` }
      return sender.gateway && found.parentId === sender.id
        ? found
        : { reason: "not-allowed", detail: `${child.slice(0, 100)} does not send through ${name}.` }
    }
    for (const reading of decoding.readings) {
      const device = of(reading.device)
      if ("reason" in device) bury(device, undefined)
      else if (!device.blocked) {
        const checked = checkReading(device, reading, message.receivedAt, now)
        if ("reason" in checked) bury(checked, device)
        else readings.push(checked)
      }
    }
    for (const { message: detail, reason } of decoding.rejected) bury({ reason, detail })
    for (const status of decoding.statuses) {
      const device = of(status.device)
      // A word of the future would stay the newest one for ever.
      const at = Math.max(0, Math.min(status.at, message.receivedAt))
      if (!("reason" in device)) statuses.push({ ...status, at, deviceId: device.id })
    }
    for (const { device: child, ...news } of decoding.commands) {
      const device = of(child)
      if (!("reason" in device)) commands.push({ ...news, from: device.id })
    }
    return outcome
  })
  return { readings, statuses, dead, commands, outcomes }
}
