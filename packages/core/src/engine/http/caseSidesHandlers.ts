/** What stands behind the doors to what hangs on a case. */
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { assignCase, claimCase, releaseClaim } from "../../kernel/cases/assignment.ts"
import { addComment, type Comment, listComments } from "../../kernel/cases/comments.ts"
import { findDuplicates } from "../../kernel/cases/duplicates.ts"
import { linkCases, linksOf, mergeDuplicate, unlinkCases } from "../../kernel/cases/links.ts"
import { subscribe, unsubscribe } from "../../kernel/cases/subscribe.ts"
import { timelineOf } from "../../kernel/cases/timeline.ts"
import { transitionCase } from "../../kernel/cases/transition.ts"
import { versionAsked } from "../../kernel/http/asked.ts"
import { inTenant } from "../../kernel/http/Door.ts"
import { once } from "../../kernel/http/once.ts"
import { demand } from "../../kernel/policy/Policy.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { CaseSidesApi } from "./caseSidesApi.ts"
import { caseAt, viewFor } from "./casesHandlers.ts"
import type { Erased } from "../../kernel/Erased.ts"

const commentView = (comment: Comment) => ({ ...comment, createdAt: comment.createdAt.toISOString() })

/** The first language a browser asks for. */
const languageAsked = (header: string | undefined) => header?.split(",")[0]?.split(";")[0]?.trim()

const pageOf = (query: { readonly cursor?: string; readonly limit?: number }) => ({
  after: query.cursor,
  limit: query.limit
})

export const caseSidesHandlers = HttpApiBuilder.group(CaseSidesApi, "caseSides", (handlers) =>
  handlers
    .handle("timeline", ({ params, query, request }) =>
      inTenant(
        Effect.andThen(
          caseAt(params),
          timelineOf(params.id, { ...pageOf(query), language: languageAsked(request.headers["accept-language"]) })
        )
      )
    )
    .handle("listComments", ({ params, query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* caseAt(params)
          const items = (yield* listComments(params.id, pageOf(query))).map(commentView)
          return { items, ...(items.length === (query.limit ?? 50) ? { cursor: items.at(-1)!.id } : {}) }
        })
      )
    )
    .handle("addComment", ({ params, payload }) =>
      inTenant(
        Effect.gen(function* () {
          yield* caseAt(params)
          const add = Effect.map(addComment({ caseId: params.id, ...payload }), (comment) => ({
            status: 201,
            body: commentView(comment)
          }))
          return (yield* once(`cases/${params.id}/comments`, payload, add)).body
        })
      )
    )
    .handle("listLinks", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          yield* caseAt(params)
          const links = yield* linksOf(params.id)
          return {
            items: links.map(({ direction, kind, other }) => ({
              kind,
              direction,
              case: { id: other.id, type: other.type, reference: other.reference, state: other.state }
            }))
          }
        })
      )
    )
    .handle("addLink", ({ params, payload }) =>
      inTenant(Effect.andThen(caseAt(params), linkCases({ fromId: params.id, kind: payload.kind, toId: payload.to })))
    )
    .handle("removeLink", ({ params }) =>
      inTenant(Effect.andThen(caseAt(params), unlinkCases({ fromId: params.id, kind: params.kind, toId: params.to })))
    )
    .handle("duplicates", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          const { record } = yield* caseAt(params)
          yield* demand(`${record.type}.link`, { territoryPath: record.territoryPath, ownerId: null })
          if (record.place === null) return { items: [] }
          const items = yield* findDuplicates({
            type: record.type,
            place: record.place,
            data: record.data,
            exceptId: record.id,
            createdAt: record.createdAt.getTime()
          })
          return { items: items as ReadonlyArray<Erased> }
        })
      )
    )
    .handle("merge", ({ params, payload }) =>
      inTenant(
        Effect.gen(function* () {
          const actor = yield* Actor
          yield* caseAt(params)
          // Merging was allowed on both; closing the duplicate is then the engine's own doing.
          yield* mergeDuplicate({ duplicateId: params.id, intoId: payload.into }, (record, transition, input) =>
            Effect.provideService(
              transitionCase({ caseId: record.id, transition, input }),
              Actor,
              system(actor.tenantId)
            )
          )
        })
      )
    )
    .handle(
      "claim",
      ({ params, payload }) =>
        inTenant(
          Effect.andThen(caseAt(params), Effect.flatMap(claimCase(params.id, payload.minutes), viewFor))
        ) as Erased
    )
    .handle("release", ({ params }) => inTenant(Effect.asVoid(Effect.andThen(caseAt(params), releaseClaim(params.id)))))
    .handle("assign", ({ params, payload }) =>
      inTenant(
        Effect.gen(function* () {
          const ifVersion = yield* versionAsked(yield* HttpServerRequest.HttpServerRequest)
          yield* caseAt(params)
          const assigned = yield* assignCase({ caseId: params.id, assigneeId: payload.assigneeId, ifVersion })
          return (yield* viewFor(assigned)) as Erased
        })
      )
    )
    .handle("subscribe", ({ params }) => inTenant(Effect.asVoid(Effect.andThen(caseAt(params), subscribe(params.id)))))
    .handle("unsubscribe", ({ params }) =>
      inTenant(Effect.asVoid(Effect.andThen(caseAt(params), unsubscribe(params.id))))
    )
)
