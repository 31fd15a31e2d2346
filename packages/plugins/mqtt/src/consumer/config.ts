/** Settings of the consumer of an outside broker. */
import * as Schema from "effect/Schema"

export const MqttConsumerConfig = Schema.Struct({
  /** `mqtt://broker:1883`, or `mqtts://broker:8883` with TLS. */
  url: Schema.String.check(Schema.isPattern(/^mqtts?:\/\/[^/?#@]+\/?$/)),
  /**
   * Under this name the broker keeps what could not be delivered; every process needs one of its own, and keeps it. Two with the same
   * name throw each other out.
   */
  clientId: Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{1,128}$/)),
  user: Schema.optionalKey(Schema.NonEmptyString),
  password: Schema.optionalKey(Schema.RedactedFromValue(Schema.NonEmptyString, { label: "password" })),
  /** Path of a PEM file with the authority that has signed the broker's certificate. Default: those that Node.js trusts. */
  authority: Schema.optionalKey(Schema.NonEmptyString),
  /** For a broker that asks for a certificate of ours: paths of PEM files, the certificate with those between it and the root. */
  client: Schema.optionalKey(Schema.Struct({ certificate: Schema.NonEmptyString, key: Schema.NonEmptyString })),
  /** Slug of the tenant whose devices those are that name none: all but the kind `mahalla`. */
  tenant: Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9-]{0,62}$/)),
  /**
   * Slugs of the tenants that this broker may speak for on `mahalla/{tenant}/…`, and whose commands go there. Default: all, for one broker of all
   * cities; where a city has a broker of its own, name the city.
   */
  tenants: Schema.optionalKey(Schema.NonEmptyArray(Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9-]{0,62}$/)))),
  /** Which topics are read. Default: `mahalla` alone. */
  kinds: Schema.optionalKey(
    Schema.NonEmptyArray(Schema.Literals(["mahalla", "chirpstack", "things-stack", "sparkplug"]))
  ),
  /** What stands before all of these topics at the broker, as `city/`. Default: nothing. */
  prefix: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^([^+#$\u0000/]+\/)*$/))),
  /**
   * Name of a group of consumers that divide the messages among them (`$share/…`). The order of a device's messages is not kept then;
   * without it each process should read topics of its own.
   */
  share: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{1,64}$/))),
  /** Hours for which the broker keeps messages while we are away. Default 24. */
  keepFor: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000 }))),
  /** Id of this host for Sparkplug's STATE message; edge nodes may wait for it. Default: none is sent. */
  sparkplugHost: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[^+#/\u0000]{1,64}$/)))
})

export type MqttConsumerConfig = typeof MqttConsumerConfig.Type
