/**
 * Live events: `GET /v1/events` as server-sent events (WHATWG HTML, section 9.2). The id of each is its place in the tenant's order, so a client that
 * comes back with `Last-Event-ID` misses nothing. Only what the reader may see, and never more than ids and states: the rest is fetched.
 */
import * as Cache from "effect/Cache"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { CaseTypes } from "../../kernel/cases/registry.ts"
import { mayHearOf } from "../../kernel/cases/timeline.ts"
import { decideAudience } from "../../kernel/cases/view.ts"
import { type Database, TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { headPosition, readEvents } from "../../kernel/events/read.ts"
import type { StoredEvent } from "../../kernel/events/Event.ts"
import { Authentication } from "../../kernel/http/Authentication.ts"
import { answerProblems, problemResponse, RequestFacts } from "../../kernel/http/Door.ts"
import { problem } from "../../kernel/http/problems.ts"
import { decide } from "../../kernel/policy/decide.ts"
import { Policy } from "../../kernel/policy/Policy.ts"
import type { Principal } from "../../kernel/policy/Principal.ts"
import { Signals } from "../../kernel/Signals.ts"

interface FeedRow extends StoredEvent {
  readonly caseType: string | null
  readonly state: string | null
  readonly version: number | null
  readonly ownerId: string | null
  readonly territoryPath: ReadonlyArray<string> | null
}

/** A batch of the order with what is needed to judge who may see each event. */
const feedBatch = Effect.fnUntraced(function* (after: bigint) {
  const { sql, tenantId } = yield* TenantTx
  const events = yield* readEvents(after, 200)
  const ids = [...new Set(events.map((event) => event.caseId).filter((id) => id !== null))]
  const cases =
    ids.length === 0
      ? []
      : yield* sql<{
          id: string
          type: string
          state: string
          version: number
          owner_id: string | null
          path: ReadonlyArray<string> | null
        }>`
          select c.id, c.type, c.state, c.version, c.owner_id, t.path from mahalla.civic_case c
          left join mahalla.territory t on t.tenant_id = c.tenant_id and t.id = c.territory_id
          where c.tenant_id = ${tenantId} and c.id = any (${ids}::uuid[])`
  const byId = new Map(cases.map((row) => [row.id, row]))
  return events.map((event): FeedRow => {
    const found = event.caseId === null ? undefined : byId.get(event.caseId)
    return {
      ...event,
      caseType: found?.type ?? null,
      state: found?.state ?? null,
      version: found?.version ?? null,
      ownerId: found?.owner_id ?? null,
      territoryPath: found?.path ?? null
    }
  })
})

/**
 * Batches that several feeds of one tenant read at the same place are read once: a thousand watchers cost one look per growth of the order. What was
 * empty is not remembered.
 */
const sharedBatches = Effect.map(Effect.context<Database>(), (services) =>
  Cache.makeWith<string, ReadonlyArray<FeedRow>, unknown>(
    (key) => {
      const [tenantId = "", after = "0"] = key.split(" ")
      return Effect.provideContext(withTenant(tenantId)(feedBatch(BigInt(after))), services)
    },
    {
      capacity: 512,
      timeToLive: (exit) => (Exit.isSuccess(exit) && exit.value.length > 0 ? Duration.seconds(1) : Duration.zero)
    }
  )
).pipe(Effect.flatten)

const encoder = new TextEncoder()

const frame = (row: FeedRow): Uint8Array =>
  encoder.encode(
    `id: ${row.position}\nevent: ${row.type}\ndata: ${JSON.stringify({
      id: row.id,
      type: row.type,
      occurredAt: row.occurredAt.toISOString(),
      case: row.caseId === null ? null : { id: row.caseId, type: row.caseType, state: row.state, version: row.version }
    })}\n\n`
  )

/** Live connections of this process; more are refused. */
const maxFeeds = 2_000
let feeds = 0

const feed = (batches: Cache.Cache<string, ReadonlyArray<FeedRow>, unknown>) =>
  HttpRouter.add(
    "GET",
    "/v1/events",
    Effect.gen(function* () {
      const facts = yield* RequestFacts
      return yield* Effect.gen(function* () {
        const request = yield* HttpServerRequest.HttpServerRequest
        const authentication = yield* Authentication
        const types = yield* CaseTypes
        const policy = yield* Policy
        const signals = yield* Signals
        const services = yield* Effect.context<Database>()
        const { actor, tenant } = yield* authentication.actorOf(request, facts)
        if (feeds >= maxFeeds)
          return problemResponse(
            problem(503, "busy", "Too many live connections; try again shortly.", {}, { "retry-after": "5" }),
            facts.id
          )
        const wanted =
          request.headers["last-event-id"] ??
          new URL(request.url, "http://local").searchParams.get("after") ??
          undefined
        if (wanted !== undefined && !/^\d{1,18}$/.test(wanted)) {
          return problemResponse(
            problem(400, "invalid-input", "Last-Event-ID must be the id of an event of this feed."),
            facts.id
          )
        }
        const inside = withTenant(tenant.tenantId)
        const start = wanted === undefined ? yield* inside(headPosition) : BigInt(wanted)

        const sees = (who: Principal, row: FeedRow, now: number): boolean => {
          const roles = who.roles ?? policy.roles
          if (row.caseType === null)
            return decide(roles, {
              principal: who,
              permission: "event.read",
              tenantId: tenant.tenantId,
              subject: { territoryPath: [] },
              now
            }).allowed
          const definition = types.all.find((type) => type.definition.id === row.caseType)?.definition
          if (definition === undefined) return false
          const subject = { territoryPath: row.territoryPath ?? [], ownerId: row.ownerId }
          const knowsOfCase =
            definition.public ||
            decide(roles, {
              principal: who,
              permission: `${row.caseType}.read`,
              tenantId: tenant.tenantId,
              subject,
              now
            }).allowed
          return (
            knowsOfCase &&
            mayHearOf(definition, row, decideAudience(roles, who, { type: row.caseType, ...subject }, now))
          )
        }

        const live = Stream.unwrap(
          Effect.gen(function* () {
            const grown = yield* PubSub.subscribe(signals.order)
            yield* Effect.acquireRelease(
              Effect.sync(() => feeds++),
              () => Effect.sync(() => feeds--)
            )
            const beat = encoder.encode(": still here\n\n")
            let position = start
            let who: Principal = actor
            let checkedAt = yield* Clock.currentTimeMillis
            const next = Effect.gen(function* () {
              const now = yield* Clock.currentTimeMillis
              // Rights that were taken away end the feed within half a minute; so does an expired token.
              if (now - checkedAt > 30_000) {
                who = (yield* authentication.actorOf(request, facts)).actor
                checkedAt = now
              }
              const rows = yield* Cache.get(batches, `${tenant.tenantId} ${position}`)
              if (rows.length === 0) {
                const woken = yield* Effect.timeoutOption(
                  Effect.repeat(PubSub.take(grown), { until: (signal) => signal.tenantId === tenant.tenantId }),
                  "15 seconds"
                )
                return woken._tag === "None" ? [beat] : []
              }
              position = rows.at(-1)!.position
              const seen = rows.filter((row) => sees(who, row, now))
              // Who may see nothing of a long past goes through it at a walk.
              if (seen.length === 0) yield* Effect.sleep("20 millis")
              return seen.map(frame)
            })
            return Stream.fromIterable([encoder.encode("retry: 2000\n\n")]).pipe(
              Stream.concat(Stream.fromEffectRepeat(next).pipe(Stream.flatMap(Stream.fromIterable)))
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

/** `GET /v1/events`. */
export const eventFeed = Layer.unwrap(Effect.map(sharedBatches, feed))
