/** Settings of the CoAP server. */
import * as Schema from "effect/Schema"

export const CoapConfig = Schema.Struct({
  /** An address of this machine. Default 127.0.0.1; `0.0.0.0` for everybody by IPv4, `::` by IPv6. */
  host: Schema.optionalKey(Schema.NonEmptyString),
  /** UDP. Default 5683; 0 takes a free one. */
  port: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 })))
})

export type CoapConfig = typeof CoapConfig.Type
