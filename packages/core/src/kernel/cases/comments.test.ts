import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { as, caseRooms, city, eventsOf, outcome } from "../../test/caseRooms.ts"
import { TenantTx } from "../db/Database.ts"
import { addComment, listComments } from "./comments.ts"
import { personalOfEvent } from "../personal/personalOfEvents.ts"

layer(caseRooms(inject("postgresUrl")), { excludeTestServices: true })("comments", (it) => {
  it.effect("are_read_by_whom_they_are_for", () =>
    Effect.gen(function* () {
      const { colleague, create, inspector, neighbour, owner, visitor } = yield* city
      const { id } = yield* create()
      yield* as(owner)(addComment({ caseId: id, text: "  It grows.  " }))
      yield* as(inspector)(addComment({ caseId: id, text: "We come on Monday." }))
      yield* as(inspector)(addComment({ caseId: id, text: "Third time this year.", visibility: "internal" }))
      const read = (who: typeof owner) => as(who)(listComments(id))
      const open = [
        ["It grows.", "owner"],
        ["We come on Monday.", "staff"]
      ]
      for (const reader of [visitor, neighbour, owner]) {
        const comments = yield* read(reader)
        assert.deepStrictEqual(
          comments.map(({ by, text }) => [text, by]),
          open
        )
        assert.notProperty(comments[0], "authorId")
      }
      const all = yield* read(colleague)
      assert.deepStrictEqual(
        all.map(({ authorId, visibility }) => [authorId, visibility]),
        [
          [owner.id, "public"],
          [inspector.id, "public"],
          [inspector.id, "internal"]
        ]
      )
      assert.deepStrictEqual(
        (yield* as(colleague)(listComments(id, { after: all[0]!.id, limit: 1 }))).map((comment) => comment.id),
        [all[1]!.id]
      )
    })
  )

  it.effect("keep_their_text_out_of_the_event", () =>
    Effect.gen(function* () {
      const { create, owner, tenantId } = yield* city
      const { id } = yield* create()
      const comment = yield* as(owner)(addComment({ caseId: id, text: "My telephone is 123." }))
      const [event] = yield* eventsOf(tenantId, id)
      assert.strictEqual(event?.type, "case.commented")
      assert.deepInclude(event?.payload, { commentId: comment.id, visibility: "public" })
      assert.notInclude(JSON.stringify(event), "telephone")
      const kept = yield* as(owner)(
        Effect.gen(function* () {
          const { sql } = yield* TenantTx
          const clear = yield* sql`select from mahalla.event_personal p where p::text like '%telephone%'`
          const [row] = yield* sql<{ id: string }>`
            select id from mahalla.event where case_id = ${id} and type = 'case.commented'`
          return { clear: clear.length, values: yield* personalOfEvent(row!.id) }
        })
      )
      assert.strictEqual(kept.clear, 0)
      assert.deepInclude(kept.values[0], { field: "text", value: "My telephone is 123." })
    })
  )

  it.effect("need_the_right_for_their_kind_and_a_text", () =>
    Effect.gen(function* () {
      const { create, inspector, neighbour, owner, tenantId, visitor } = yield* city
      const { id } = yield* create()
      const secret = yield* create({ type: "matter" })
      const comment = (caseId: string, text: string, visibility?: "public" | "internal") =>
        outcome(addComment({ caseId, text, visibility }))
      assert.deepStrictEqual(
        [
          yield* as(neighbour)(comment(id, "Me too")),
          yield* as(visitor)(comment(id, "Me too")),
          yield* as(owner)(comment(id, "Me too", "internal")),
          yield* as(neighbour)(comment(secret.id, "Me too")),
          yield* as(neighbour)(outcome(listComments(secret.id))),
          yield* as(owner)(comment(id, " \n ")),
          yield* as(owner)(comment(id, "a\u0000b")),
          yield* as(owner)(comment(id, "x".repeat(10_001)))
        ],
        ["Forbidden", "Forbidden", "Forbidden", "NotFound", "NotFound", "InvalidInput", "InvalidInput", "InvalidInput"]
      )
      assert.deepStrictEqual(yield* eventsOf(tenantId, id), [])
      assert.strictEqual(yield* as(inspector)(comment(id, "x".repeat(10_000), "internal")), "ok")
    })
  )
})
