/** The embedded set of plugins: everything the main job needs, with nothing installed but Node. */
import { asbt } from "@mahalla/asbt"
import { Limiter, type Plugin } from "@mahalla/core/plugin"
import { ffmpeg } from "@mahalla/ffmpeg"
import { filesystem } from "@mahalla/filesystem"
import { mqtt } from "@mahalla/mqtt"
import { outboxMessenger } from "@mahalla/outbox-messenger"
import { plates } from "@mahalla/plates"
import { postgres } from "@mahalla/postgres"
import { s3 } from "@mahalla/s3"
import { sandboxIdentity } from "@mahalla/sandbox-identity"
import { sandboxPayments } from "@mahalla/sandbox-payments"

type Config<Factory> = Factory extends (config: infer C, ...rest: Array<never>) => unknown ? C : never

export interface DefaultsOptions {
  /** An outside PostgreSQL, `postgres://…`; else an embedded one starts by itself. */
  readonly databaseUrl?: string | undefined
  /** Any S3; else files lie in the city's home. */
  readonly s3?: Config<typeof s3> | undefined
  /** Default: in PostgreSQL. `memoryLimiter({})` counts inside the process, for a city that is one process. */
  readonly limiter?: Plugin
  readonly ffmpeg?: Config<typeof ffmpeg>
  /** A broker for devices. Default: none. */
  readonly mqtt?: Config<typeof mqtt>
  readonly plates?: Config<typeof plates>
  /** Default: plates. Several as one: `detectors([plates({}), …])`. Copies of media hide what it finds. */
  readonly detector?: Plugin
  /** Default: the sandbox, except in production, where a city without a payment rail pays nobody. */
  readonly payments?: Plugin | "sandbox" | "none"
  /** A register of people. Default: none, and nobody is asked for a number. The sandbox confirms anybody and does not start in production. */
  readonly identityCheck?: Plugin | "sandbox"
  /**
   * A government system with which decisions are filed; the module `filings()` goes with it. Default: none, and what the city decides counts.
   * The sandbox fines nobody and does not start in production.
   */
  readonly authority?: Plugin | "sandbox"
}

export const defaults = (options: DefaultsOptions = {}): ReadonlyArray<Plugin> => [
  ...postgres(options.databaseUrl === undefined ? {} : { url: options.databaseUrl }).filter(
    ({ provides }) => options.limiter === undefined || !provides.includes(Limiter)
  ),
  ...(options.limiter === undefined ? [] : [options.limiter]),
  options.s3 === undefined ? filesystem({}) : s3(options.s3),
  ffmpeg(options.ffmpeg ?? {}),
  options.detector ?? plates(options.plates ?? {}),
  outboxMessenger({}),
  ...(options.mqtt === undefined ? [] : [mqtt(options.mqtt)]),
  ...(options.payments === "none"
    ? []
    : [typeof options.payments === "object" ? options.payments : sandboxPayments({})]),
  ...(options.identityCheck === undefined
    ? []
    : [typeof options.identityCheck === "object" ? options.identityCheck : sandboxIdentity({})]),
  ...(options.authority === undefined ? [] : [typeof options.authority === "object" ? options.authority : asbt({})])
]
