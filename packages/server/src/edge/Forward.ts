/**
 * Brings what the log holds to the city, in order, one body at a time. A place in the log is left behind only when the city has said that it has
 * everything before it; what it may have heard twice is the same to it, for every value has its time.
 */
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { boot, uptimeMillis } from "./boot.ts"
import { correctionOf, rightWall } from "./clock.ts"
import { type EdgeLog, type Piece, type Place, putFile } from "./EdgeLog.ts"
import type { Moment } from "./frame.ts"
import { bodiesOf, type Body, partsOf } from "./translate.ts"

/** `cursor.json`: how far the city has everything. */
export const Cursor = Schema.Struct({
  segment: Schema.Int,
  offset: Schema.Int,
  /** Messages since the folder was made. */
  forwarded: Schema.Int,
  /** Bodies of which the city could not use a part, and keeps them as dead letters. */
  dead: Schema.Int,
  /** Epoch milliseconds of the last time that the city took something. */
  at: Schema.NullOr(Schema.Finite),
  /** What keeps the edge from it at the moment. */
  trouble: Schema.NullOr(Schema.String)
})
export type Cursor = typeof Cursor.Type

export const none: Cursor = { segment: 0, offset: 0, forwarded: 0, dead: 0, at: null, trouble: null }

const decodeCursor = Schema.decodeUnknownSync(Schema.fromJsonString(Cursor))

const cursorFile = (folder: string) => join(folder, "cursor.json")

/** One that is not there or was torn begins at the beginning: the city hears things again, and that is all. */
export const readCursor = async (folder: string): Promise<Cursor> => {
  try {
    return decodeCursor(await readFile(cursorFile(folder), "utf8"))
  } catch {
    return none
  }
}

class NotTaken extends Data.TaggedError("NotTaken")<{
  readonly message: string
  /** Milliseconds that the city asks to wait. */
  readonly after?: number
}> {}

export interface ForwardOptions {
  readonly folder: string
  readonly log: EdgeLog
  /** `https://city.example/t/slug` */
  readonly to: string
  /** Of the edge's own gateway in the city. */
  readonly token: string
}

/** Milliseconds: between two attempts at least and at most, and for one answer. */
const [soonest, latest, patience] = [500, 60_000, 60_000]
/** Bytes of the log that are read at once. */
const pieceBytes = 524_288

const paths = { gateway: "/ingest/gateway", readings: "/ingest/readings" }

const afterOf = (response: Response): number | undefined => {
  const seconds = Number(response.headers.get("retry-after") ?? "")
  return seconds > 0 ? Math.min(seconds, 600) * 1000 : undefined
}

/** Never ends by itself. */
export const forward = Effect.fnUntraced(function* ({ folder, log, to, token }: ForwardOptions) {
  let cursor = yield* Effect.promise(() => readCursor(folder))
  /** How far the city's clock is ahead of ours; unknown until it has answered. */
  let skew: number | undefined

  const note = (next: Cursor) =>
    Effect.tryPromise({
      try: () => putFile(cursorFile(folder), JSON.stringify((cursor = next))),
      // On a full disk too: then the city hears some things again.
      catch: (error) => error
    }).pipe(Effect.ignore)

  const ask = (path: string, init: RequestInit) =>
    Effect.tryPromise({
      try: async (signal) => {
        const response = await fetch(`${to}${path}`, { ...init, redirect: "manual", signal })
        return { response, text: await response.text() }
      },
      catch: (error) => {
        const { cause, message } = error as Error
        return new NotTaken({
          message: `${to} cannot be reached: ${cause instanceof Error && cause.message !== "" ? cause.message : message}`
        })
      }
    }).pipe(
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () => Effect.fail(new NotTaken({ message: `${to} did not answer within ${patience / 1000} s` }))
      }),
      Effect.tap(({ response }) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const date = Date.parse(response.headers.get("date") ?? "")
          if (!Number.isNaN(date)) skew = date + 500 - now
        })
      )
    )

  /** Whether the city could use all of it. */
  const send = Effect.fnUntraced(function* ({ kind, text }: Body) {
    const { response, text: answer } = yield* ask(paths[kind], {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: text
    })
    const { status } = response
    // Only the city's own words: anything between us may answer 200 or 422.
    if (response.ok && response.headers.get("mahalla-outcome") === "stored") return true
    if (status === 422 && answer.includes("urn:mahalla:problem:unusable")) return false
    const after = afterOf(response)
    return yield* new NotTaken({
      message:
        status === 401 || status === 403
          ? `${to} does not know this gateway's token any more (${status}). Give it a new one.`
          : response.ok
            ? `${to} answered ${status}, but is no city of Mahalla: a portal or a proxy that stands between, another address, or a city of an older version. Everything stays here.`
            : `${to} answered ${status}: ${answer.slice(0, 200)}`,
      ...(after === undefined ? {} : { after })
    })
  })

  /** Milliseconds to add to a segment's times; decided once, so that what is sent again is sent the same. */
  const corrections = new Map<number, number>()
  const correction = Effect.fnUntraced(function* (segment: number) {
    const known = corrections.get(segment)
    if (known !== undefined) return known
    const file = join(folder, `${segment}.clock`)
    let off = yield* Effect.promise(async () => {
      const text = await readFile(file, "utf8").catch(() => "")
      return /^-?\d+$/.test(text) ? Number(text) : undefined
    })
    if (off === undefined) {
      // Any answer says what time it is.
      if (skew === undefined) yield* ask("/health/live", {})
      const wall = rightWall(yield* Clock.currentTimeMillis, skew ?? 0)
      const moments = log.moments()
      const later = moments.flatMap((one): ReadonlyArray<Moment> =>
        one.segment > segment && one.moment !== undefined ? [one.moment] : []
      )
      const stamped = moments.find((one) => one.segment === segment)?.moment
      const decided = correctionOf(stamped, later, { wall, uptime: uptimeMillis(), boot })
      // On a disk that the log has filled there is room for it only when the city has taken some.
      yield* Effect.ignore(
        Effect.tryPromise({ try: () => putFile(file, String(decided)), catch: (error) => error as Error })
      )
      if (decided !== 0)
        yield* Effect.logWarning(
          `edge: the clock was wrong by ${Math.round(decided / 1000)} s; times of arrival are corrected`
        )
      off = decided
    }
    corrections.clear()
    corrections.set(segment, off)
    return off
  })

  /** Until the city has it. */
  const insist = Effect.fnUntraced(function* <A>(give: Effect.Effect<A, NotTaken>) {
    let wait = soonest
    for (;;) {
      const result = yield* Effect.result(give)
      if (Result.isSuccess(result)) return result.success
      const { after, message } = result.failure
      if (cursor.trouble !== message) {
        yield* Effect.logWarning(`edge: ${message}`)
        yield* note({ ...cursor, trouble: message })
      }
      yield* Effect.sleep(after ?? wait * (0.5 + (yield* Random.next)))
      wait = Math.min(wait * 2, latest)
    }
  })

  const release = (before: Place) => Effect.promise(() => log.release(before).catch(() => undefined))

  const bring = Effect.fnUntraced(function* ({ next, records, segment }: Piece) {
    const off = yield* insist(correction(segment))
    let dead = 0
    for (const body of bodiesOf(records.flatMap((record) => partsOf(record, record.receivedAt + off))))
      if (!(yield* insist(send(body)))) dead++
    if (dead > 0)
      yield* Effect.logWarning(`edge: the city could not use a part of ${dead} bodies; they are among its dead letters`)
    yield* note({
      ...next,
      forwarded: cursor.forwarded + records.length,
      dead: cursor.dead + dead,
      at: yield* Clock.currentTimeMillis,
      trouble: null
    })
    yield* release(next)
  })

  const read = (from: Place) =>
    insist(
      Effect.tryPromise({
        try: () => log.read(from, pieceBytes),
        catch: (error) => new NotTaken({ message: `The log cannot be read: ${(error as Error).message}` })
      })
    )

  let place: Place = cursor
  // What was not removed any more when the last one ended.
  yield* release(place)
  for (;;) {
    const piece = yield* read(place)
    if (piece !== undefined) {
      yield* bring(piece)
      place = piece.next
      continue
    }
    const grown = log.grown()
    // What came between the first look and this one.
    if ((yield* read(place)) === undefined) yield* Effect.promise(() => grown)
  }
})
