/** Structured logs with phones and tokens masked: JSON lines for machines, one readable line each in `dev`. */
import * as Cause from "effect/Cause"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { mask } from "../kernel/mask.ts"

const textOf = (message: unknown): string =>
  (Array.isArray(message) ? message : [message])
    .map((part) =>
      typeof part === "string"
        ? part
        : Cause.isCause(part)
          ? Cause.pretty(part)
          : String((part as Error)?.message ?? JSON.stringify(part))
    )
    .join(" ")

const annotationsOf = (options: Logger.Options<unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(options.fiber.getRef(References.CurrentLogAnnotations)).map(([key, value]) => [
      key,
      typeof value === "string" ? mask(value) : typeof value === "object" ? mask(JSON.stringify(value)) : value
    ])
  )

const causeOf = (options: Logger.Options<unknown>): string | undefined =>
  options.cause.reasons.length === 0 ? undefined : mask(Cause.pretty(options.cause))

const json = Logger.make((options) => {
  const line = {
    at: options.date.toISOString(),
    level: options.logLevel.toLowerCase(),
    message: mask(textOf(options.message)),
    ...annotationsOf(options),
    ...(causeOf(options) === undefined ? {} : { cause: causeOf(options) })
  }
  process.stderr.write(`${JSON.stringify(line)}\n`)
})

const readable = Logger.make((options) => {
  const notes = Object.entries(annotationsOf(options)).map(([key, value]) => ` ${key}=${String(value)}`)
  const cause = causeOf(options)
  process.stderr.write(
    `${options.date.toISOString().slice(11, 23)} ${options.logLevel.padEnd(5)} ${mask(textOf(options.message))}${notes.join("")}${cause === undefined ? "" : `\n${cause}`}\n`
  )
})

export type LogFormat = "json" | "readable" | "silent"
export type LogLevel = "Debug" | "Info" | "Warn" | "Error"

/** Everything that the city logs, on standard error. Spans are not made: there is no tracer yet that would take them anywhere. */
export const layerLogging = (format: LogFormat, level: LogLevel) =>
  Layer.mergeAll(
    Logger.layer(format === "silent" ? [] : [format === "json" ? json : readable]),
    Layer.succeed(References.MinimumLogLevel, level),
    Layer.succeed(References.TracerEnabled, false)
  )
