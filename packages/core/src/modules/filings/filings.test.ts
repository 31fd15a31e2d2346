import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { eventsOf } from "../../test/caseRooms.ts"
import { onFriday } from "../../test/controlRooms.ts"
import { filingCity, filingRooms } from "../../test/filingRooms.ts"
import { createTenant } from "../../testing/kernel.ts"
import { bookStatus, settleByHand } from "./book.ts"
import { retryFiling } from "./file.ts"
import { loadFiling } from "./sql.ts"

const fine = { amount: 68_000_000n, currency: "UZS" }
const scoped = <A, E, R>(self: Effect.Effect<A, E, R>) => onFriday(Effect.scoped(self))
const refusalOf = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(self), (error) => (error as { readonly code?: string }).code)

layer(filingRooms(inject("postgresUrl")), { excludeTestServices: true })("a filing", (it) => {
  it.effect("goes_to_the_authority_with_its_evidence_and_comes_back_decided", () =>
    scoped(
      Effect.gen(function* () {
        const { control, decided, only, pass, tenantId, turns, way } = yield* filingCity
        const { attachmentId, caseId, id } = yield* decided
        assert.strictEqual((yield* only).state, "queued")
        assert.deepStrictEqual(yield* turns(), ["heard", "idle"])
        assert.strictEqual((yield* only).state, "filed")
        const [sent] = way.filed
        assert.deepInclude(sent, { number: id, kind: "traffic-violation", plate: "01A777AA", article: "128-1(1)" })
        assert.deepInclude(sent!.evidence[0], { sha256: "ab".repeat(32), mediaType: "video/mp4", size: 10 })
        assert.match(
          sent!.evidence[0]!.url,
          new RegExp(
            `^https://city\\.example/t/[^/]+/v1/filings/${id}/evidence/${attachmentId}\\?expires=\\d+&signature=[\\w-]{43}$`
          )
        )
        yield* control.review(id)
        yield* pass(1)
        yield* turns()
        assert.strictEqual((yield* only).state, "in-review")
        yield* control.decide(id, fine)
        yield* pass(2)
        yield* turns()
        assert.deepInclude(yield* only, { state: "decided", verdict: "fined", fine: fine.amount })
        assert.deepStrictEqual(
          (yield* eventsOf(tenantId, caseId)).map(({ type }) => type),
          ["filings.queued", "filings.filed", "filings.decided"]
        )
        // The notices of it, which take their own way, are heeded; then nothing is asked about it any more.
        yield* Effect.promise(() => new Promise((done) => setTimeout(done, 200)))
        yield* turns()
        yield* pass(60 * 24 * 30)
        assert.deepStrictEqual(yield* turns(), ["idle"])
        assert.strictEqual(way.filed.length, 1)
      })
    )
  )

  it.effect("is_one_however_often_it_is_decided", () =>
    scoped(
      Effect.gen(function* () {
        const { decided, rows } = yield* filingCity
        const { file } = yield* decided
        yield* Effect.all([file, file, file], { concurrency: 3 })
        assert.strictEqual((yield* rows).length, 1)
      })
    )
  )

  it.effect("is_asked_about_less_and_less_often", () =>
    scoped(
      Effect.gen(function* () {
        const { decided, pass, turns, way } = yield* filingCity
        yield* decided
        yield* turns()
        for (let hour = 0; hour < 48; hour++) {
          yield* pass(60)
          yield* turns()
        }
        assert.isAbove(way.asked, 8)
        assert.isBelow(way.asked, 20)
      })
    )
  )

  it.effect("is_asked_about_at_once_when_the_authority_gives_notice", () =>
    scoped(
      Effect.gen(function* () {
        const { control, decided, only, turn, turns } = yield* filingCity
        const { id } = yield* decided
        yield* turns()
        yield* control.decide(id, fine)
        // The notice takes its own way; the clock stands still.
        for (let tries = 0; tries < 200 && (yield* turn) === "idle"; tries++)
          yield* Effect.promise(() => new Promise((done) => setTimeout(done, 10)))
        assert.strictEqual((yield* only).state, "decided")
      })
    )
  )

  it.effect("hears_of_a_decision_that_is_reversed", () =>
    scoped(
      Effect.gen(function* () {
        const { control, decided, inside, only, tenantId } = yield* filingCity
        const { caseId, id } = yield* decided
        yield* inside(Effect.flatMap(TenantTx, ({ sql }) => sql`update mahalla.filing set state = 'submitting'`))
        yield* inside(Effect.flatMap(TenantTx, ({ sql }) => sql`update mahalla.filing set state = 'filed'`))
        const status = { state: "decided", reference: "A-1", at: 1_790_000_000_000 } as const
        yield* inside(bookStatus(id, { ...status, verdict: "fined", fine }))
        yield* inside(bookStatus(id, { ...status, verdict: "fined", fine }))
        yield* inside(bookStatus(id, { ...status, verdict: "dismissed", reference: "A-2" }))
        assert.deepInclude(yield* only, { state: "decided", verdict: "dismissed", fine: null, reference: "A-2" })
        assert.deepStrictEqual(
          (yield* eventsOf(tenantId, caseId)).slice(1).map(({ payload }) => [payload["verdict"], payload["reversed"]]),
          [
            ["fined", false],
            ["dismissed", true]
          ]
        )
        assert.strictEqual(yield* control.effects(id), 0)
      })
    )
  )

  it.effect("that_was_refused_is_filed_again_under_a_new_number_once", () =>
    scoped(
      Effect.gen(function* () {
        const { control, decided, inside, rows, turns } = yield* filingCity
        yield* control.next("refused")
        const { id } = yield* decided
        yield* turns()
        const first = yield* inside(loadFiling(id))
        assert.deepInclude(first, { state: "refused", detail: "incomplete: The plate cannot be seen." })
        const second = yield* inside(retryFiling(first!))
        assert.strictEqual(yield* refusalOf(inside(retryFiling(first!))), "tried-again")
        yield* turns()
        assert.deepStrictEqual(
          (yield* rows).map((row) => [row.id, row.attempt, row.state]),
          [
            [id, 1, "refused"],
            [second, 2, "filed"]
          ]
        )
        const newer = yield* inside(loadFiling(second))
        assert.strictEqual(yield* refusalOf(inside(retryFiling(newer!))), "not-refused")
        const byHand = { verdict: "fined", reason: "Letter of 20 November" } as const
        assert.strictEqual(yield* refusalOf(inside(settleByHand(first!, byHand))), "tried-again")
      })
    )
  )

  it.effect("that_a_person_has_settled_is_not_touched_by_the_authority", () =>
    scoped(
      Effect.gen(function* () {
        const { control, decided, inside, only, pass, turns } = yield* filingCity
        const { id } = yield* decided
        yield* turns()
        const filed = (yield* inside(loadFiling(id, true)))!
        yield* inside(settleByHand(filed, { verdict: "dismissed", reason: "Letter of 20 November" }))
        yield* control.decide(id, fine)
        yield* pass(60)
        assert.deepStrictEqual(yield* turns(), ["idle"])
        yield* inside(
          bookStatus(id, { state: "decided", verdict: "fined", fine, reference: "A-1", at: 1_790_000_000_000 })
        )
        assert.deepInclude(yield* only, { state: "decided", verdict: "dismissed" })
        const again = (yield* inside(loadFiling(id, true)))!
        assert.strictEqual(
          yield* refusalOf(inside(settleByHand(again, { verdict: "fined", reason: "Again" }))),
          "not-open"
        )
      })
    )
  )

  it.effect("goes_no_way_that_the_state_machine_does_not_know_not_even_by_sql", () =>
    scoped(
      Effect.gen(function* () {
        const { decided, inside, turns } = yield* filingCity
        yield* decided
        yield* turns()
        const attempt = (text: string) =>
          Effect.exit(inside(Effect.flatMap(TenantTx, ({ sql }) => sql`${sql.literal(text)}`)))
        for (const change of ["state = 'queued'", "state = 'submitting'", "attempt = 2", "evidence_version = 0"])
          assert.strictEqual((yield* attempt(`update mahalla.filing set ${change}`))._tag, "Failure", change)
        assert.strictEqual((yield* attempt("delete from mahalla.filing"))._tag, "Failure")
        assert.strictEqual((yield* attempt("update mahalla.filing set state = 'in-review'"))._tag, "Success")
      })
    )
  )

  it.effect("is_nothing_to_another_tenant", () =>
    scoped(
      Effect.gen(function* () {
        const { decided, tenantId } = yield* filingCity
        const { id } = yield* decided
        const other = yield* createTenant()
        const seen = (tenant: string) =>
          withTenant(tenant)(
            Effect.gen(function* () {
              const { sql } = yield* TenantTx
              return [yield* loadFiling(id), (yield* sql`select from mahalla.filing`).length] as const
            })
          )
        assert.strictEqual((yield* seen(tenantId))[1], 1)
        assert.deepStrictEqual(yield* seen(other.tenantId), [undefined, 0])
      })
    )
  )
})
