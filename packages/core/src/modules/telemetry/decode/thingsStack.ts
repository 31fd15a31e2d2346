/**
 * Messages of The Things Stack v3 in JSON (thethingsindustries.com/docs, "Data formats"), from its MQTT server or a webhook. Empty fields
 * are left out: `f_cnt` and `f_port` default to 0.
 *
 * The device is the DevEUI in small letters, else the device id. `at` is when the network server received the frame; `received_at` of the
 * whole message is later, and a gateway's own `time` may be wrong by years. `sequence` is `f_cnt`.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import type { CommandState, IngestMessage } from "../../../ports/DeviceIngest.ts"
import { type DecodeFailure, type Decoding, failed, gather, isDeviceName, isRecord, isSequence } from "./decoding.ts"
import { parseJson } from "./json.ts"
import { parseTime } from "./time.ts"
import { best, type Uplink, uplinkOf } from "./uplink.ts"

/** Messages that tell nothing of measured quantities and nothing of a downlink. */
const others = ["downlink_queue_invalidated", "location_solved", "service_data"]

/** What becomes of a downlink; `queued` and `sent` are the network's, the device has heard nothing yet. */
const downlinks: Readonly<Record<string, CommandState>> = {
  downlink_queued: { state: "sent" },
  downlink_sent: { state: "sent" },
  downlink_ack: { state: "delivered" },
  downlink_nack: { state: "failed", message: "The device did not acknowledge the downlink." },
  downlink_failed: { state: "failed", message: "The network could not send the downlink." }
}

/** Begins the correlation id by which a downlink is known to be a command of ours. */
export const commandMark = "mahalla:command:"

/** Of the message, of the downlink in it, or of the one that failed. */
const marksIn = (body: Readonly<Record<string, unknown>>): ReadonlyArray<string> =>
  [body, ...Object.values(body).filter(isRecord)]
    .flatMap((one) => [one, ...(isRecord(one["downlink"]) ? [one["downlink"]] : [])])
    .flatMap(({ correlation_ids: ids }) => (Array.isArray(ids) ? (ids as ReadonlyArray<unknown>) : []))
    .filter((id): id is string => typeof id === "string" && id.startsWith(commandMark))

/** An `Uplink` for `uplink_message` with a payload; everything else is decoded already. */
export const decodeThingsStack = (message: IngestMessage): Result.Result<Decoding | Uplink, DecodeFailure> =>
  Result.flatMap(parseJson(message.payload), (body): Result.Result<Decoding | Uplink, DecodeFailure> => {
    const ids = isRecord(body) ? body["end_device_ids"] : undefined
    if (!isRecord(body) || !isRecord(ids)) return failed("malformed", "end_device_ids is missing.")
    const { dev_eui: eui, device_id: id } = ids
    const device = typeof eui === "string" && /^[0-9a-fA-F]{16}$/.test(eui) ? eui.toLowerCase() : id
    if (!isDeviceName(device)) return failed("malformed", "end_device_ids has neither dev_eui nor device_id.")

    const uplink = body["uplink_message"]
    const into = gather()
    if (body["simulated"] === true || (isRecord(uplink) && uplink["simulated"] === true)) {
      into.warn(`${device}: simulated, left out.`)
      return into.done()
    }
    const told = (isRecord(uplink) ? uplink["received_at"] : undefined) ?? body["received_at"]
    const at = told === undefined ? message.receivedAt : parseTime(told)
    if (at === undefined) return failed("malformed", "received_at is not in the form of RFC 3339.")
    if (!isRecord(uplink)) {
      const [kind, state] = Object.entries(downlinks).find(([name]) => isRecord(body[name])) ?? []
      if (state !== undefined) {
        for (const mark of new Set(marksIn(body))) into.command({ device, at }, mark.slice(commandMark.length), state)
        if (kind === "downlink_ack" || kind === "downlink_nack") into.status({ device, at }, {})
      } else if (isRecord(body["join_accept"])) into.status({ device, at }, {})
      else if (others.some((kind) => isRecord(body[kind]))) into.warn(`${device}: a message that is no uplink.`)
      else return failed("malformed", "uplink_message is missing.")
      return into.done()
    }

    const { decoded_payload: object, f_cnt: fCnt = 0, f_port: fPort = 0, frm_payload: payload = "" } = uplink
    if (!isSequence(fCnt) || !isSequence(fPort) || fPort > 255)
      return failed("malformed", "f_cnt or f_port is no frame's.")
    const bytes = typeof payload === "string" ? Result.getOrUndefined(Base64.decode(payload)) : undefined
    if (bytes === undefined) return failed("malformed", "frm_payload is not in base 64.")
    return uplinkOf({
      place: { device, at, sequence: fCnt },
      bytes,
      fPort,
      object,
      about: (gathering) => gathering.status({ device, at }, best(uplink["rx_metadata"]))
    })
  })
