/**
 * Events of ChirpStack v4 in JSON (chirpstack.io/docs, "Event types"). The topic's last part or the query parameter `event` says which;
 * where neither does, what has a port is an uplink.
 * The JSON is a protobuf mapping: what is zero or false is not there.
 *
 * The device is the DevEUI, in small letters. A reading's `at` is the event's `time` and its `sequence` the frame counter `fCnt`: a
 * repeated event has the same two, so `deduplicationId` adds nothing; two servers that both heard a frame send two events.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import type { IngestMessage } from "../../../ports/DeviceIngest.ts"
import {
  type DecodeFailure,
  type Decoding,
  failed,
  gather,
  type Gathering,
  isRecord,
  isSequence,
  type Place,
  quote
} from "./decoding.ts"
import { parseJson } from "./json.ts"
import { parseTime } from "./time.ts"
import { best, type Uplink, uplinkOf } from "./uplink.ts"

type Body = Readonly<Record<string, unknown>>

const eventOf = (topic: string): string | undefined =>
  /[?&]event=([a-z]+)(?:&|$)/.exec(topic)?.[1] ?? /\/event\/([a-z]+)$/.exec(topic)?.[1]

const up = (body: Body, place: Place): Result.Result<Decoding | Uplink, DecodeFailure> => {
  const { data = "", fCnt = 0, fPort = 0, object } = body
  if (!isSequence(fCnt) || !isSequence(fPort) || fPort > 255) return failed("malformed", "fCnt or fPort is no frame's.")
  const bytes = typeof data === "string" ? Result.getOrUndefined(Base64.decode(data)) : undefined
  if (bytes === undefined) return failed("malformed", "data is not in base 64.")
  return uplinkOf({
    place: { ...place, sequence: fCnt },
    bytes,
    fPort,
    object,
    about: (into) => into.status(place, best(body["rxInfo"]))
  })
}

const number = (value: unknown, otherwise?: number) =>
  typeof value === "number" && Number.isFinite(value) ? value : otherwise

const status = (body: Body, place: Place, into: Gathering) => {
  const battery = number(body["batteryLevel"], 0)!
  const known = body["externalPowerSource"] !== true && body["batteryLevelUnavailable"] !== true
  into.status(place, known && battery >= 0 && battery <= 100 ? { battery } : {})
  into.attribute(place, "margin", number(body["margin"], 0))
  into.attribute(place, "externalPower", body["externalPowerSource"] === true)
}

const location = (body: Body, place: Place, into: Gathering) => {
  if (!isRecord(body["location"])) return into.reject("malformed", "location is missing.", { device: place.device })
  const { latitude = 0, longitude = 0, altitude, accuracy, source } = body["location"]
  into.attribute(place, "location", {
    latitude: number(latitude, 0),
    longitude: number(longitude, 0),
    ...(number(altitude) === undefined ? {} : { altitude }),
    ...(number(accuracy) === undefined ? {} : { accuracy }),
    ...(typeof source === "string" ? { source } : {})
  })
}

const text = (value: unknown, otherwise: string) => (typeof value === "string" ? value : otherwise)

/** Other events than `up`, which tell of the device itself or of a command. */
const tellers: Readonly<Record<string, (body: Body, place: Place, into: Gathering) => void>> = {
  status,
  location,
  join: (body, place, into) => {
    into.status(place, {})
    if (typeof body["devAddr"] === "string") into.attribute(place, "devAddr", body["devAddr"])
  },
  log: (body, place, into) => {
    into.status(place, {})
    const said = [text(body["level"], "INFO"), text(body["code"], "UNKNOWN"), text(body["description"], "")]
    into.warn(`${place.device}: ${quote(said.join(" "))}`)
  },
  ack: (body, place, into) => {
    into.status(place, {})
    into.command(
      place,
      text(body["queueItemId"], ""),
      body["acknowledged"] === true
        ? { state: "delivered" }
        : { state: "failed", message: "The device did not acknowledge the downlink." }
    )
  },
  txack: (body, place, into) => into.command(place, text(body["queueItemId"], ""), { state: "sent" })
}

/** An `Uplink` for event `up` with a payload; everything else is decoded already. */
export const decodeChirpstack = (message: IngestMessage): Result.Result<Decoding | Uplink, DecodeFailure> =>
  Result.flatMap(parseJson(message.payload), (body): Result.Result<Decoding | Uplink, DecodeFailure> => {
    const device = isRecord(body) && isRecord(body["deviceInfo"]) ? body["deviceInfo"]["devEui"] : undefined
    if (!isRecord(body) || typeof device !== "string" || !/^[0-9a-fA-F]{16}$/.test(device))
      return failed("malformed", "deviceInfo.devEui is missing.")
    const at = body["time"] === undefined || body["time"] === null ? message.receivedAt : parseTime(body["time"])
    if (at === undefined) return failed("malformed", "time is not in the form of RFC 3339.")
    const place = { device: device.toLowerCase(), at }
    const event = eventOf(message.topic) ?? (body["fPort"] === undefined ? undefined : "up")
    if (event === "up") return up(body, place)
    const into = gather()
    const tell = event === undefined || !Object.hasOwn(tellers, event) ? undefined : tellers[event]
    if (event === "integration") into.warn("Events of other integrations are not used.")
    else if (tell === undefined) return failed("malformed", "The topic does not end in an event of ChirpStack's.")
    else tell(body, place, into)
    return into.done()
  })
