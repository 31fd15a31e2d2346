import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { as, caseRooms, city, eventsOf, outcome } from "../../test/caseRooms.ts"
import { Actor, type Principal } from "../policy/Principal.ts"
import { duplicatesOf, type LinkKind, linkCases, linksOf, mergeDuplicate, unlinkCases } from "./links.ts"
import { loadCase } from "./record.ts"
import { hearersOf, subscribe, unsubscribe } from "./subscribe.ts"
import { transitionCase } from "./transition.ts"

const merge = (duplicateId: string, intoId: string, engine: Principal) =>
  mergeDuplicate({ duplicateId, intoId }, (record, transition, input) =>
    Effect.provideService(transitionCase({ caseId: record.id, transition, input }), Actor, engine)
  )
const link = (fromId: string, kind: Exclude<LinkKind, "duplicate-of">, toId: string) =>
  linkCases({ fromId, kind, toId })

layer(caseRooms(inject("postgresUrl")), { excludeTestServices: true })("links", (it) => {
  it.effect("are_seen_from_both_ends", () =>
    Effect.gen(function* () {
      const { create, inspector, tenantId } = yield* city
      const [one, two] = [yield* create(), yield* create()]
      yield* as(inspector)(link(one.id, "parent", two.id))
      yield* as(inspector)(link(one.id, "parent", two.id))
      const seen = (id: string) =>
        Effect.map(as(inspector)(linksOf(id)), (links) =>
          links.map(({ direction, kind, other }) => [kind, direction, other.id])
        )
      assert.deepStrictEqual(yield* seen(one.id), [["parent", "from", two.id]])
      assert.deepStrictEqual(yield* seen(two.id), [["parent", "to", one.id]])
      const events = [...(yield* eventsOf(tenantId, one.id)), ...(yield* eventsOf(tenantId, two.id))]
      assert.deepStrictEqual(
        events.map(({ payload, type }) => [type, payload["direction"], payload["otherReference"]]),
        [
          ["case.linked", "from", two.reference],
          ["case.linked", "to", one.reference]
        ]
      )
      yield* as(inspector)(unlinkCases({ fromId: one.id, kind: "parent", toId: two.id }))
      assert.deepStrictEqual(yield* seen(one.id), [])
      assert.strictEqual(
        yield* as(inspector)(outcome(unlinkCases({ fromId: one.id, kind: "parent", toId: two.id }))),
        "NotFound"
      )
    })
  )

  it.effect("never_close_a_circle", () =>
    Effect.gen(function* () {
      const { create, inspector } = yield* city
      const [a, b, c] = [yield* create(), yield* create(), yield* create()]
      const make = (from: string, kind: "parent" | "caused-by", to: string) =>
        as(inspector)(outcome(link(from, kind, to)))
      assert.strictEqual(yield* make(a.id, "parent", a.id), "Refused circle")
      yield* make(a.id, "parent", b.id)
      yield* make(b.id, "parent", c.id)
      assert.strictEqual(yield* make(c.id, "parent", a.id), "Refused circle")
      assert.strictEqual(yield* make(a.id, "parent", c.id), "Refused already-linked")
      // Another kind is another question, and a matter may follow from several.
      assert.strictEqual(yield* make(c.id, "caused-by", a.id), "ok")
      assert.strictEqual(yield* make(c.id, "caused-by", b.id), "ok")
      assert.strictEqual(yield* make(b.id, "caused-by", c.id), "Refused circle")
    })
  )

  it.effect("never_close_a_circle_when_made_at_once", () =>
    Effect.gen(function* () {
      const { create, inspector } = yield* city
      for (let round = 0; round < 5; round++) {
        const cases = [yield* create(), yield* create(), yield* create(), yield* create()]
        const outcomes = yield* Effect.all(
          cases.map((record, place) =>
            as(inspector)(outcome(link(record.id, "caused-by", cases[(place + 1) % 4]!.id)))
          ),
          { concurrency: 4 }
        )
        assert.deepStrictEqual([...outcomes].sort(), ["Refused circle", "ok", "ok", "ok"])
      }
    })
  )

  it.effect("need_the_right_on_both_ends_and_show_only_what_may_be_known", () =>
    Effect.gen(function* () {
      const { create, inspector, owner, visitor } = yield* city
      const elsewhere = yield* city
      const [one, secret] = [yield* create(), yield* create({ type: "matter" })]
      const foreign = yield* elsewhere.create()
      assert.strictEqual(yield* as(owner)(outcome(link(one.id, "parent", secret.id))), "Forbidden")
      assert.strictEqual(yield* as(inspector)(outcome(link(one.id, "parent", foreign.id))), "NotFound")
      yield* as(inspector)(link(one.id, "parent", secret.id))
      assert.lengthOf(yield* as(visitor)(linksOf(one.id)), 0)
      assert.lengthOf(yield* as(owner)(linksOf(one.id)), 1)
    })
  )
})

layer(caseRooms(inject("postgresUrl")), { excludeTestServices: true })("mergeDuplicate", (it) => {
  it.effect("closes_the_duplicate_and_lets_its_people_hear_of_the_original", () =>
    Effect.gen(function* () {
      const { colleague, create, engine, inspector, neighbour, owner, tenantId } = yield* city
      const original = yield* create()
      const duplicate = yield* create({}, neighbour)
      yield* as(colleague)(outcome(subscribe(duplicate.id)))
      yield* as(inspector)(merge(duplicate.id, original.id, engine))
      const after = yield* as(inspector)(loadCase(duplicate.id))
      assert.deepStrictEqual([after.state, after.phase, after.data], ["merged", "closed", duplicate.data])
      const hearers = yield* as(inspector)(hearersOf(original))
      assert.strictEqual(hearers[0], owner.id)
      assert.sameMembers([...hearers], [owner.id!, neighbour.id!, colleague.id!])
      assert.deepStrictEqual(yield* as(inspector)(duplicatesOf(original.id)), [duplicate.id])
      assert.deepStrictEqual(
        (yield* eventsOf(tenantId, duplicate.id)).map((event) => event.type),
        ["case.linked", "pothole.merge"]
      )
      // Once more changes nothing.
      yield* as(inspector)(merge(duplicate.id, original.id, engine))
      assert.lengthOf(yield* eventsOf(tenantId, duplicate.id), 2)
      assert.lengthOf(yield* eventsOf(tenantId, original.id), 1)
    })
  )

  it.effect("finds_the_evidence_of_duplicates_of_duplicates", () =>
    Effect.gen(function* () {
      const { create, engine, inspector } = yield* city
      const [a, b, c, d] = [yield* create(), yield* create(), yield* create(), yield* create()]
      const run = (from: string, to: string) => as(inspector)(outcome(merge(from, to, engine)))
      assert.strictEqual(yield* run(b.id, a.id), "ok")
      assert.strictEqual(yield* run(c.id, b.id), "Refused is-duplicate")
      assert.strictEqual(yield* run(a.id, b.id), "Refused circle")
      assert.strictEqual(yield* run(b.id, d.id), "Refused already-linked")
      assert.strictEqual(yield* run(a.id, d.id), "ok")
      assert.deepStrictEqual(yield* as(inspector)(duplicatesOf(d.id)), [a.id, b.id].sort())
      assert.deepStrictEqual(yield* as(inspector)(duplicatesOf(c.id)), [])
    })
  )

  it.effect("leaves_a_case_that_is_closed_already_as_it_is", () =>
    Effect.gen(function* () {
      const { create, engine, inspector } = yield* city
      const [original, done] = [yield* create(), yield* create()]
      yield* as(inspector)(transitionCase({ caseId: done.id, transition: "start" }))
      yield* as(inspector)(transitionCase({ caseId: done.id, transition: "fix" }))
      yield* as(inspector)(merge(done.id, original.id, engine))
      assert.strictEqual((yield* as(inspector)(loadCase(done.id))).state, "fixed")
    })
  )

  it.effect("is_all_or_nothing", () =>
    Effect.gen(function* () {
      const { create, inspector, tenantId } = yield* city
      const [original, duplicate] = [yield* create(), yield* create()]
      const failing = mergeDuplicate({ duplicateId: duplicate.id, intoId: original.id }, () => Effect.fail("broken"))
      assert.strictEqual(yield* Effect.flip(as(inspector)(failing)), "broken")
      assert.deepStrictEqual(yield* as(inspector)(duplicatesOf(original.id)), [])
      assert.deepStrictEqual(yield* eventsOf(tenantId, duplicate.id), [])
    })
  )

  it.effect("is_for_one_type_and_for_who_may", () =>
    Effect.gen(function* () {
      const { create, engine, inspector, owner } = yield* city
      const [one, two, matter] = [yield* create(), yield* create(), yield* create({ type: "matter" })]
      assert.strictEqual(yield* as(inspector)(outcome(merge(one.id, matter.id, engine))), "Refused other-type")
      assert.strictEqual(yield* as(owner)(outcome(merge(one.id, two.id, engine))), "Forbidden")
    })
  )
})

layer(caseRooms(inject("postgresUrl")), { excludeTestServices: true })("subscribe", (it) => {
  it.effect("is_for_everybody_with_an_account_who_sees_the_case", () =>
    Effect.gen(function* () {
      const { create, neighbour, owner, visitor } = yield* city
      const [record, secret] = [yield* create(), yield* create({ type: "matter" })]
      yield* as(neighbour)(subscribe(record.id))
      yield* as(neighbour)(subscribe(record.id))
      yield* as(owner)(subscribe(record.id))
      assert.deepStrictEqual(yield* as(owner)(hearersOf(record)), [owner.id, neighbour.id])
      assert.strictEqual(yield* as(visitor)(outcome(subscribe(record.id))), "Forbidden")
      assert.strictEqual(yield* as(neighbour)(outcome(subscribe(secret.id))), "NotFound")
      yield* as(neighbour)(unsubscribe(record.id))
      yield* as(neighbour)(unsubscribe(record.id))
      assert.deepStrictEqual(yield* as(owner)(hearersOf(record)), [owner.id])
    })
  )
})
