/** `GET /v1/readings/live` as server-sent events (WHATWG HTML, section 9.2); the id of each is the number of its batch. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Authentication } from "../../../kernel/http/Authentication.ts"
import { problemResponse, RequestFacts } from "../../../kernel/http/Door.ts"
import { filterOfQuery } from "../../../kernel/live/EventFilter.ts"
import { LiveRights } from "../../../kernel/live/LiveRights.ts"
import { makeSeats } from "../../../kernel/live/Seats.ts"
import type { Policy } from "../../../kernel/policy/Policy.ts"
import { Actor } from "../../../kernel/policy/Principal.ts"
import type { LiveBatch } from "./LiveBatch.ts"
import type { LiveReadings } from "./LiveReadings.ts"
import { readableTerritories, ReadingFilter, readingReader, type ReadingStep } from "./Reader.ts"

const encoder = new TextEncoder()
const seats = makeSeats()

const readingsFrame = (number: number, json: string) =>
  encoder.encode(`id: ${number}\nevent: readings\ndata: {"batch":${number},"readings":[${json}]}\n\n`)

/** Frames of whole batches, made once for all who get the whole. */
const whole = new WeakMap<LiveBatch, Uint8Array>()

const frame = (step: ReadingStep): Uint8Array => {
  // An id without data is remembered by the client and tells it nothing: it need not come back to where the last reading was.
  if (step.kind === "quiet") return encoder.encode(`id: ${step.number}\n: still here\n\n`)
  if (step.kind === "gap") {
    const { after, since, to } = step
    return encoder.encode(`id: ${to}\nevent: gap\ndata: ${JSON.stringify({ after, to, since })}\n\n`)
  }
  const { batch, json } = step
  if (json !== batch.json) return readingsFrame(batch.number, json)
  const known = whole.get(batch)
  if (known !== undefined) return known
  const made = readingsFrame(batch.number, json)
  whole.set(batch, made)
  return made
}

/** What stands behind the door; the reader has come through it. */
export const readingsFeed = Effect.gen(function* () {
  const request = yield* HttpServerRequest.HttpServerRequest
  const facts = yield* RequestFacts
  const actor = yield* Actor
  const authentication = yield* Authentication
  const rights = yield* LiveRights
  const after = request.headers["last-event-id"]
  const asked = yield* filterOfQuery(ReadingFilter, ["devices", "groups", "keys"], ["territory", "after"], request.url)
  // What a browser remembers is newer than the address it began with.
  const filter = after !== undefined && /^\d{1,18}$/.test(after) ? { ...asked, after } : asked
  const refused = seats.refusal(actor, facts.ip)
  if (refused !== undefined) return problemResponse(refused, facts.id)
  yield* readableTerritories(actor)
  const services = yield* Effect.context<LiveReadings | LiveRights | Policy>()
  const ask = Effect.map(authentication.actorOf(request, facts), (now) => now.actor)
  // Taken when the answer's body begins: of some answers it never does.
  const readings = Stream.unwrap(
    Effect.gen(function* () {
      yield* seats.take(actor, facts.ip)
      const reader = yield* readingReader(actor.tenantId, filter, yield* rights.reader(actor, ask))
      return Stream.make(encoder.encode("retry: 2000\n\n")).pipe(
        Stream.concat(Stream.map(Stream.fromEffectRepeat(reader.next), frame))
      )
    })
  )
  // Rights that were taken away end the feed: who comes back is told why.
  const body = Stream.catchCause(Stream.provideContext(readings, services), () => Stream.empty)
  return HttpServerResponse.stream(body, {
    contentType: "text/event-stream",
    headers: { "cache-control": "no-cache", "x-accel-buffering": "no" }
  })
})
