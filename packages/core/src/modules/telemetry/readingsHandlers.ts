/** What stands behind the doors to readings. */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { answering, inTenant } from "../../kernel/http/Door.ts"
import { limitReads } from "../../kernel/limits/address.ts"
import { datastreamsOf, getDatastream, type Latest, latestOf } from "./datastreams.ts"
import { listDeadLetters, replayDeadLetters, replayRaw, type StoredDeadLetter } from "./deadLetters.ts"
import { exportReadings } from "./exports.ts"
import { TelemetryApi } from "./api.ts"
import { readingsFeed } from "./live/sse.ts"
import { bucketsOf, chartOf, demandSpan, readingsOf, type Span } from "./series.ts"

const latestView = (latest: Latest) => ({
  ...latest,
  at: latest.at?.toISOString() ?? null,
  receivedAt: latest.receivedAt?.toISOString() ?? null
})

const deadView = (letter: StoredDeadLetter) => ({
  ...letter,
  receivedAt: letter.receivedAt.toISOString(),
  replayedAt: letter.replayedAt?.toISOString() ?? null,
  payload: Buffer.from(letter.payload).toString("base64")
})

const spanOf = Effect.fnUntraced(function* (query: { readonly from: string; readonly to: string }) {
  const span: Span = { from: new Date(query.from), to: new Date(query.to) }
  yield* demandSpan(span)
  return span
})

/** The place after which a page begins, as text. */
const cursors = {
  of: ({ at, sequence }: { readonly at: Date; readonly sequence: number }) => `${at.getTime()}.${sequence}`,
  parse: (text: string | undefined) => {
    if (text === undefined) return Effect.succeed(undefined)
    const parts = /^(\d{1,15})\.(\d{1,10})$/.exec(text)
    return parts === null
      ? Effect.fail(
          new InvalidInput({
            issues: [{ pointer: "#query/cursor", detail: "This is not a cursor of this list; begin without one." }]
          })
        )
      : Effect.succeed({ at: new Date(Number(parts[1])), sequence: Number(parts[2]) })
  }
}

/** A day: more is asked for piece by piece. */
const longestReplay = 86_400_000

export const readingsHandlers = HttpApiBuilder.group(TelemetryApi, "readings", (group) =>
  group
    .handle("datastreams", ({ params }) =>
      inTenant(Effect.map(datastreamsOf(params.id), (items) => ({ items: items.map(latestView) })))
    )
    .handle("latest", ({ payload }) =>
      inTenant(Effect.map(latestOf(payload.devices, payload.keys), (items) => ({ items: items.map(latestView) })))
    )
    .handle("readings", ({ params, query }) =>
      inTenant(
        Effect.gen(function* () {
          const after = yield* cursors.parse(query.cursor)
          const limit = query.limit ?? 500
          const rows = yield* readingsOf(yield* getDatastream(params.id), yield* spanOf(query), after, limit + 1)
          const items = rows.slice(0, limit)
          return {
            items: items.map((row) => ({ ...row, at: row.at.toISOString() })),
            ...(rows.length > limit ? { cursor: cursors.of(items.at(-1)!) } : {})
          }
        })
      )
    )
    .handle("chart", ({ params, query }) =>
      inTenant(
        Effect.gen(function* () {
          const datastream = yield* getDatastream(params.id)
          const { points, resolution } = yield* chartOf(
            datastream,
            yield* spanOf(query),
            query.points ?? 500,
            query.method ?? "extremes"
          )
          return {
            unit: datastream.unit,
            resolution,
            points: points.map((point) => ({ ...point, at: point.at.toISOString() }))
          }
        })
      )
    )
    .handle("intervals", ({ params, query }) =>
      inTenant(
        Effect.gen(function* () {
          const datastream = yield* getDatastream(params.id)
          const items = yield* bucketsOf(datastream, yield* spanOf(query), query.interval * 1000)
          return { unit: datastream.unit, items: items.map((item) => ({ ...item, at: item.at.toISOString() })) }
        })
      )
    )
    .handle(
      "exportCsv",
      ({ params, query }) =>
        answering(
          Effect.andThen(
            limitReads("export"),
            exportReadings(params.id, { from: new Date(query.from), to: new Date(query.to) }, "csv")
          )
        ) as never
    )
    .handle(
      "exportNdjson",
      ({ params, query }) =>
        answering(
          Effect.andThen(
            limitReads("export"),
            exportReadings(params.id, { from: new Date(query.from), to: new Date(query.to) }, "ndjson")
          )
        ) as never
    )
    .handle("live", () => answering(readingsFeed) as never)
    .handle("deadLetters", ({ query: { cursor, limit, open, ...filter } }) =>
      inTenant(
        Effect.map(listDeadLetters({ ...filter, open: open === "true" }, { cursor, limit }), ({ items, ...rest }) => ({
          items: items.map(deadView),
          ...rest
        }))
      )
    )
    .handle("replayDeadLetters", ({ payload: { cursor, ...filter } }) => answering(replayDeadLetters(filter, cursor)))
    .handle("replayMessages", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { from, to } = yield* spanOf(payload)
          if (to.getTime() - from.getTime() > longestReplay)
            return yield* new InvalidInput({ issues: [{ pointer: "/to", detail: "A day at most at once." }] })
          return yield* replayRaw(from, to, payload.name)
        })
      )
    )
)
