/**
 * Live events: `GET /v1/events` as server-sent events (WHATWG HTML, section 9.2). The id of each is its place in the tenant's order, so a client that
 * comes back with `Last-Event-ID` misses nothing. Only what the reader may see, and never more than ids and states: the rest is fetched.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Database } from "../../kernel/db/Database.ts"
import { Authentication } from "../../kernel/http/Authentication.ts"
import { answerProblems, problemResponse, RequestFacts } from "../../kernel/http/Door.ts"
import { problem } from "../../kernel/http/problems.ts"
import { type EventFeed, eventView, type FeedRow } from "../../kernel/live/EventFeed.ts"
import { EventFilter, filterOfQuery } from "../../kernel/live/EventFilter.ts"
import { type EventStep, eventReader } from "../../kernel/live/EventReader.ts"
import { LiveRights } from "../../kernel/live/LiveRights.ts"
import { makeSeats } from "../../kernel/live/Seats.ts"
import type { Signals } from "../../kernel/Signals.ts"

const encoder = new TextEncoder()

const frame = (row: FeedRow): Uint8Array =>
  encoder.encode(`id: ${row.position}\nevent: ${row.type}\ndata: ${JSON.stringify(eventView(row))}\n\n`)

const seats = makeSeats()

/** `GET /v1/events`. */
export const eventFeed = HttpRouter.add(
  "GET",
  "/v1/events",
  Effect.gen(function* () {
    const facts = yield* RequestFacts
    return yield* Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const authentication = yield* Authentication
      const rights = yield* LiveRights
      const services = yield* Effect.context<Database | EventFeed | Signals>()
      const { actor, tenant } = yield* authentication.actorOf(request, facts)
      const refused = seats.refusal(actor, facts.ip)
      if (refused !== undefined) return problemResponse(refused, facts.id)
      const wanted =
        request.headers["last-event-id"] ?? new URL(request.url, "http://local").searchParams.get("after") ?? undefined
      if (wanted !== undefined && !/^\d{1,18}$/.test(wanted)) {
        return problemResponse(
          problem(400, "invalid-input", "Last-Event-ID must be the id of an event of this feed."),
          facts.id
        )
      }
      const filter = yield* filterOfQuery(EventFilter, ["types", "severity", "devices"], ["territory"], request.url)
      const live = Stream.unwrap(
        Effect.gen(function* () {
          yield* seats.take(actor, facts.ip)
          // Rights that were taken away end the feed; so does an expired token.
          const reader = yield* rights.reader(
            actor,
            Effect.map(authentication.actorOf(request, facts), (now) => now.actor)
          )
          const after = wanted === undefined ? undefined : BigInt(wanted)
          const { next } = yield* eventReader(tenant.tenantId, filter, after, reader)
          const frames = ({ events, position }: EventStep) =>
            // An id without data is remembered by the client and tells it nothing: it need not come back to where the last event was.
            events.length === 0 ? [encoder.encode(`id: ${position}\n: still here\n\n`)] : events.map(frame)
          return Stream.fromIterable([encoder.encode("retry: 2000\n\n")]).pipe(
            Stream.concat(
              Stream.fromEffectRepeat(next).pipe(Stream.flatMap((step) => Stream.fromIterable(frames(step))))
            )
          )
        })
      )
      return HttpServerResponse.stream(
        Stream.catchCause(Stream.provideContext(live, services), () => Stream.empty),
        {
          contentType: "text/event-stream",
          headers: { "cache-control": "no-cache", "x-accel-buffering": "no" }
        }
      )
    }).pipe(answerProblems(facts.id))
  })
)
