/** What a kind of device is: its datastreams, how its messages are read, how often it is heard, how long its readings are kept. */
import * as Schema from "effect/Schema"

/** Key of a datastream in messages. */
export const DatastreamKey = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_.:/-]{1,100}$/))

const Title = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200))
const Positive = Schema.Finite.check(Schema.isGreaterThan(0))

export const DatastreamSchema = Schema.Struct({
  key: DatastreamKey,
  title: Title,
  unit: Schema.String.check(Schema.isMaxLength(40)),
  minimum: Schema.optionalKey(Schema.Finite),
  maximum: Schema.optionalKey(Schema.Finite),
  maxRate: Schema.optionalKey(Positive),
  flatAfter: Schema.optionalKey(Positive),
  resolution: Schema.optionalKey(Positive)
}).annotate({ identifier: "DatastreamDefinition" })

/** Formats that a profile may name for its messages; the others say themselves what they are. */
export const profileFormats = ["json", "senml-json", "senml-cbor", "codec"] as const

/** Days that readings may be kept; 0 is for ever. */
export const retentionClasses = [0, 7, 30, 90, 365, 1825] as const
export type RetentionClass = (typeof retentionClasses)[number]

const Port = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))

/** What a LoRaWAN device sent: bytes in either form, and their port. */
export const GivenUplink = Schema.Union([
  Schema.Struct({
    hex: Schema.String.check(Schema.isPattern(/^([0-9A-Fa-f]{2}){0,512}$/)),
    fPort: Port
  }),
  Schema.Struct({
    base64: Schema.String.check(
      Schema.isPattern(/^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/),
      Schema.isMaxLength(684)
    ),
    fPort: Port
  })
])
export type GivenUplink = typeof GivenUplink.Type

export const CodecSource = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200_000))

export const ProfileDefinition = Schema.Struct({
  datastreams: Schema.Array(DatastreamSchema).check(Schema.isMinLength(1), Schema.isMaxLength(200)),
  /** How messages are read that do not say it themselves. */
  format: Schema.Literals(profileFormats),
  /** TS013 decoder and encoder in JavaScript, for `codec`; its version stands in dead letters. */
  codec: Schema.optionalKey(
    Schema.Struct({
      source: CodecSource,
      version: Schema.String.check(Schema.isMaxLength(40)),
      /** Run whenever the profile is stored: one that does not come out refuses it. */
      cases: Schema.optionalKey(
        Schema.Array(
          Schema.Struct({
            name: Title,
            input: GivenUplink,
            /** `data` of what `decodeUplink` returns. */
            expected: Schema.Record(Schema.String, Schema.Unknown)
          })
        ).check(Schema.isMaxLength(50))
      )
    })
  ),
  /** Seconds between two readings when all is well; without it a device is never offline. */
  interval: Schema.optionalKey(Positive),
  /** 0 only what cannot be missed … 1 the slightest. Default: the tenant's, 0.5. */
  sensitivity: Schema.optionalKey(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))),
  retention: Schema.Literals(retentionClasses)
}).annotate({ identifier: "ProfileDefinition" })
export type ProfileDefinition = typeof ProfileDefinition.Type

/** What is contradictory in a definition that has the right form. */
export const profileMistakes = (
  definition: ProfileDefinition
): ReadonlyArray<{ readonly pointer: string; readonly detail: string }> => {
  const seen = new Set<string>()
  const found = definition.datastreams.flatMap(({ key, maximum, minimum }, place) => {
    const pointer = `/definition/datastreams/${place}`
    const twice = seen.has(key)
    seen.add(key)
    return [
      ...(twice ? [{ pointer: `${pointer}/key`, detail: `There are two datastreams ${key}.` }] : []),
      ...(minimum !== undefined && maximum !== undefined && minimum > maximum
        ? [{ pointer: `${pointer}/maximum`, detail: "The maximum is below the minimum." }]
        : [])
    ]
  })
  return definition.format === "codec" && definition.codec === undefined
    ? [...found, { pointer: "/definition/codec", detail: "The format codec needs a codec." }]
    : found
}
