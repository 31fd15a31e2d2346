/** Settings of the broker. */
import * as Schema from "effect/Schema"

const Port = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))

const address = {
  /** Default 127.0.0.1; `0.0.0.0` for everybody. */
  host: Schema.optionalKey(Schema.NonEmptyString),
  /** 0 takes a free one. */
  port: Schema.optionalKey(Port)
}
const Address = Schema.Struct(address)
export type Address = typeof Address.Type

export const MqttConfig = Schema.Struct({
  /** Without TLS: for a network of one's own. Default: on port 1883 when nothing else is configured. */
  tcp: Schema.optionalKey(Address),
  /** Default port 8883. Devices may show a certificate instead of a token. */
  tls: Schema.optionalKey(
    Schema.Struct({
      ...address,
      /** Path of a PEM file, with the certificates between it and the root. */
      certificate: Schema.NonEmptyString,
      /** Path of a PEM file. */
      key: Schema.NonEmptyString
    })
  ),
  /** Without TLS, behind a proxy that has it. Default port 8083. */
  websocket: Schema.optionalKey(Address),
  /** Of each listener. Default 10,000. */
  maxConnections: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 })))
})

export type MqttConfig = typeof MqttConfig.Type
