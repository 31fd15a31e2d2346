/** Settings of the TCP listeners. */
import * as Schema from "effect/Schema"

const Listener = Schema.Struct({
  /** Stands as the topic of every message that comes here. */
  name: Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9-]{0,62}$/)),
  /** What the devices speak; see `framers`. */
  framer: Schema.Literals(["json-lines", "crc16-frames", "crc32-frames"]),
  /** Default 127.0.0.1; `0.0.0.0` for everybody. */
  host: Schema.optionalKey(Schema.NonEmptyString),
  /** 0 takes a free one. */
  port: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 })),
  /** Paths of PEM files. Default: no TLS, for a network of one's own. */
  tls: Schema.optionalKey(Schema.Struct({ certificate: Schema.NonEmptyString, key: Schema.NonEmptyString })),
  /** Seconds after which a device that says nothing is cut off. Default 600. */
  idle: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 10, maximum: 86_400 }))),
  /** Default 10,000. */
  maxConnections: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 })))
})
export type Listener = typeof Listener.Type

export const TcpConfig = Schema.Struct({ listeners: Schema.NonEmptyArray(Listener) })

export type TcpConfig = typeof TcpConfig.Type
