import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { as, caseRooms, city, outcome } from "../../test/caseRooms.ts"
import { Escalated } from "../deadlines/deadlines.ts"
import { appendEvent } from "../events/append.ts"
import { assignCase, claimCase } from "./assignment.ts"
import { addComment } from "./comments.ts"
import { timelineOf } from "./timeline.ts"
import { transitionCase } from "./transition.ts"

const story = Effect.gen(function* () {
  const people = yield* city
  const { create, dispatcher, inspector, neighbour, owner } = people
  const { id, reference } = yield* create()
  yield* as(dispatcher)(assignCase({ caseId: id, assigneeId: inspector.id }))
  yield* as(owner)(addComment({ caseId: id, text: "It grows." }))
  yield* as(inspector)(claimCase(id))
  yield* as(inspector)(addComment({ caseId: id, text: "Third time.", visibility: "internal" }))
  yield* as(inspector)(transitionCase({ caseId: id, transition: "start", input: { crew: "North", cost: 12 } }))
  yield* as(people.engine)(
    appendEvent(Escalated, { type: "pothole", reference, deadline: "d", role: "inspector" }, { caseId: id })
  )
  yield* as(inspector)(transitionCase({ caseId: id, transition: "fix" }))
  return { ...people, id, neighbour }
})

layer(caseRooms(inject("postgresUrl")), { excludeTestServices: true })("timeline", (it) => {
  it.effect("tells_everybody_what_is_public", () =>
    Effect.gen(function* () {
      const { id, neighbour, visitor } = yield* story
      for (const reader of [visitor, neighbour]) {
        const { items } = yield* as(reader)(timelineOf(id))
        assert.deepStrictEqual(
          items.map((entry) => ({ ...entry, at: "", id: "" })),
          [
            {
              id: "",
              at: "",
              type: "pothole.created",
              title: "Received",
              by: "owner",
              to: "new",
              data: { kind: "hole" }
            },
            { id: "", at: "", type: "case.commented", title: "Comment", by: "owner", comment: items[1]!.comment! },
            {
              id: "",
              at: "",
              type: "pothole.start",
              title: "Work begins",
              by: "staff",
              from: "new",
              to: "working",
              data: { crew: "North" }
            },
            { id: "", at: "", type: "pothole.fix", title: "Fixed", by: "staff", from: "working", to: "fixed", data: {} }
          ]
        )
        assert.strictEqual(items[1]?.comment?.text, "It grows.")
      }
    })
  )

  it.effect("tells_the_owner_more_and_staff_everything", () =>
    Effect.gen(function* () {
      const { colleague, id, inspector, owner } = yield* story
      const types = (items: ReadonlyArray<{ readonly type: string }>) => items.map((entry) => entry.type)
      const owners = (yield* as(owner)(timelineOf(id))).items
      assert.deepStrictEqual(types(owners), [
        "pothole.created",
        "case.assigned",
        "case.commented",
        "pothole.start",
        "pothole.fix"
      ])
      assert.deepStrictEqual(owners[0]?.data, { kind: "hole", text: "a text" })
      const all = (yield* as(colleague)(timelineOf(id))).items
      assert.deepStrictEqual(types(all), [
        "pothole.created",
        "case.assigned",
        "case.commented",
        "case.claimed",
        "case.commented",
        "pothole.start",
        "case.escalated",
        "pothole.fix"
      ])
      assert.deepStrictEqual(
        all.map((entry) => entry.actorId),
        [owner.id, all[1]!.actorId, owner.id, inspector.id, inspector.id, inspector.id, null, inspector.id]
      )
      assert.deepInclude(all[5]?.data, { crew: "North", cost: 12 })
      assert.strictEqual(all[6]?.by, "engine")
      for (const entry of owners) assert.notProperty(entry, "actorId")
      assert.notInclude(JSON.stringify(owners), "Third time")
      assert.notInclude(JSON.stringify(owners), "a note")
    })
  )

  it.effect("speaks_the_readers_language_where_the_definition_does", () =>
    Effect.gen(function* () {
      const { id, owner } = yield* story
      const titles = (language: string) =>
        Effect.map(as(owner)(timelineOf(id, { language })), ({ items }) => items.map((entry) => entry.title))
      assert.deepStrictEqual(yield* titles("ru-RU"), [
        "Получено",
        "Назначен ответственный",
        "Комментарий",
        "Начать работу",
        "Fixed"
      ])
      assert.deepStrictEqual(yield* titles("ja"), ["Received", "Assigned", "Comment", "Work begins", "Fixed"])
    })
  )

  it.effect("comes_in_pages_that_join_without_a_gap", () =>
    Effect.gen(function* () {
      const { id, visitor } = yield* story
      const whole = (yield* as(visitor)(timelineOf(id))).items
      for (const limit of [1, 2, 3, 8]) {
        const joined: Array<unknown> = []
        let cursor: string | undefined
        do {
          const page: { readonly items: ReadonlyArray<unknown>; readonly cursor?: string } = yield* as(visitor)(
            timelineOf(id, { after: cursor, limit })
          )
          assert.isAtMost(page.items.length, limit)
          joined.push(...page.items)
          cursor = page.cursor
        } while (cursor !== undefined)
        assert.deepStrictEqual(joined, [...whole])
      }
    })
  )

  it.effect("is_for_who_may_know_of_the_case", () =>
    Effect.gen(function* () {
      const { create, neighbour, owner } = yield* city
      const { id } = yield* create({ type: "matter" })
      assert.strictEqual(yield* as(neighbour)(outcome(timelineOf(id))), "NotFound")
      assert.lengthOf((yield* as(owner)(timelineOf(id))).items, 1)
    })
  )

  it.effect("calls_an_anonymous_report_its_senders_own", () =>
    Effect.gen(function* () {
      const { create, visitor } = yield* city
      const { id } = yield* create({}, visitor)
      assert.strictEqual((yield* as(visitor)(timelineOf(id))).items[0]?.by, "owner")
    })
  )
})
