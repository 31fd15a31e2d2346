/** Readings as CSV (RFC 4180) and as lines of JSON, streamed in pages, each in a transaction of its own. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { type Database, withTenant } from "../../kernel/db/Database.ts"
import type { Policy } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { getDatastream } from "./datastreams.ts"
import { demandSpan, readingsOf, type Span } from "./series.ts"

const pageSize = 5000

interface Row {
  readonly at: Date
  readonly sequence: number
  readonly value: number
  readonly quality: number
}

const formats = {
  csv: {
    contentType: "text/csv; charset=utf-8",
    head: "at,value,sequence,quality\r\n",
    line: ({ at, quality, sequence, value }: Row) => `${at.toISOString()},${value},${sequence},${quality}\r\n`
  },
  ndjson: {
    contentType: "application/x-ndjson",
    head: "",
    line: ({ at, quality, sequence, value }: Row) =>
      `${JSON.stringify({ at: at.toISOString(), value, sequence, quality })}\n`
  }
} as const

/** All readings of a datastream in a span that the actor may see. */
export const exportReadings = Effect.fn("telemetry.export")(function* (
  id: string,
  span: Span,
  format: keyof typeof formats
) {
  const { contentType, head, line } = formats[format]
  const { tenantId } = yield* Actor
  const inside = withTenant(tenantId)
  yield* demandSpan(span)
  const datastream = yield* inside(getDatastream(id))
  const services = yield* Effect.context<Database | Policy | Actor>()
  const rows = Stream.paginate(undefined as { readonly at: Date; readonly sequence: number } | undefined, (after) =>
    Effect.map(
      inside(readingsOf(datastream, span, after, pageSize)),
      (found) =>
        [
          [found.map(line).join("")],
          found.length < pageSize
            ? Option.none<{ readonly at: Date; readonly sequence: number }>()
            : Option.some(found.at(-1)!)
        ] as const
    )
  )
  const body = Stream.make(head).pipe(
    Stream.concat(rows),
    Stream.tapCause((cause) => Effect.logError("An export of readings broke off", cause)),
    Stream.encodeText
  )
  return HttpServerResponse.stream(Stream.provideContext(body, services), {
    contentType,
    headers: { "content-disposition": `attachment; filename="readings.${format}"` }
  })
})
