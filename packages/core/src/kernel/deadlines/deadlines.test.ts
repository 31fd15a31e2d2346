import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { assert, describe, it, layer } from "@effect/vitest"
import { inject } from "vitest"
import { createTenant, testKernel } from "../../testing/kernel.ts"
import { type CaseTypeDefinition, defineCaseType } from "../cases/CaseType.ts"
import { loadCase } from "../cases/record.ts"
import { CaseTypes, makeCaseTypes } from "../cases/registry.ts"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../db/Database.ts"
import { newId, referenceOf } from "../ids.ts"
import { enterState, fireDue, runDeadline } from "./deadlines.ts"

const state = (phase: "open" | "closed" = "open") => ({ title: { en: "State" }, phase })
const definition: CaseTypeDefinition = {
  id: "clocked",
  version: 1,
  title: { en: "Clocked" },
  data: { properties: {} },
  place: "none",
  anonymous: false,
  public: false,
  attachments: { min: 0, max: 0 },
  creatable: true,
  initial: "new",
  states: { new: state(), waiting: state(), working: state(), late: state(), done: state("closed") },
  transitions: { lapse: { title: { en: "Lapse" }, from: ["new", "working"], to: ["late"], internal: true } },
  deadlines: {
    answer: {
      states: ["new", "working"],
      within: "P1D",
      working: true,
      pausedIn: ["waiting"],
      then: { notify: ["dispatcher"] }
    },
    lapse: {
      states: ["working"],
      within: "PT2H",
      pausedIn: ["waiting"],
      then: { transition: "lapse", input: { why: "late" } }
    },
    raise: { states: ["late"], within: "PT0S", then: { escalate: "inspector" } }
  }
}
const types = Layer.succeed(CaseTypes, makeCaseTypes([defineCaseType({ definition })]))
const test = testKernel({ postgresUrl: inject("postgresUrl") }).pipe(Layer.provideMerge(types))

// 2026-11-18 is a Wednesday; offices in Tashkent (+05:00) work from 09:00 to 18:00 on weekdays.
const clock = (local: string) => TestClock.setTime(new Date(`${local}:00+05:00`).getTime())

const newCase = Effect.gen(function* () {
  const { tenantId } = yield* createTenant()
  const id = yield* newId
  yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      yield* sql`insert into mahalla.case_type (id, version, definition) values ('clocked', 1, '{}') on conflict do nothing`
      yield* sql`
        insert into mahalla.civic_case (tenant_id, id, type, type_version, reference, state, phase, data, created_at, updated_at)
        values (${tenantId}, ${id}, 'clocked', 1, ${referenceOf(id)}, 'new', 'open', '{}', now(), now())`
    })
  )
  const enter = (from: string | null, to: string) =>
    withTenant(tenantId)(
      Effect.gen(function* () {
        const { sql } = yield* TenantTx
        yield* sql`update mahalla.civic_case set state = ${to} where id = ${id}`
        yield* enterState(yield* loadCase(id), definition, from, to)
      })
    )
  const rows = withTenant(tenantId)(
    Effect.gen(function* () {
      const { sql } = yield* TenantTx
      const found = yield* sql<{ name: string; due: string; remaining: number | null; status: string }>`
        select name, to_char(due_at at time zone 'Asia/Tashkent', 'YYYY-MM-DD"T"HH24:MI') as due, remaining,
               case when fired_at is not null then 'fired' when paused_at is not null then 'paused' else 'runs' end as status
        from mahalla.case_deadline order by name`
      return Object.fromEntries(
        found.map((row) => [row.name, row.status === "paused" ? `paused ${row.remaining}` : `${row.status} ${row.due}`])
      )
    })
  )
  const jobs = withTenant(tenantId)(
    Effect.gen(function* () {
      const { sql } = yield* TenantTx
      return yield* sql<{ topic: string; body: unknown }>`select topic, body from mahalla.job order by body->>'name'`
    })
  )
  const events = withTenant(tenantId)(
    Effect.gen(function* () {
      const { sql } = yield* TenantTx
      return yield* sql<{ type: string; payload: unknown }>`select type, payload from mahalla.event order by id`
    })
  )
  const run = (name: string, took: Array<unknown> = []) =>
    withTenant(tenantId)(
      runDeadline({ caseId: id, name }, (record, transition, input) =>
        Effect.sync(() => took.push([record.id, transition, input]))
      )
    )
  return { tenantId, id, enter, rows, jobs, events, run }
})

const timed = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provide(self, TestClock.layer(), { local: true })

layer(test, { excludeTestServices: true })("deadlines", (it) => {
  it.effect("start_with_the_state_in_the_citys_hours", () =>
    Effect.gen(function* () {
      const { enter, rows } = yield* newCase
      yield* clock("2026-11-20T16:00")
      yield* enter(null, "new")
      assert.deepStrictEqual(yield* rows, { answer: "runs 2026-11-23T16:00" })
      yield* clock("2026-11-20T17:00")
      yield* enter("new", "working")
      assert.deepStrictEqual(yield* rows, { answer: "runs 2026-11-23T16:00", lapse: "runs 2026-11-20T19:00" })
      yield* enter("working", "done")
      assert.deepStrictEqual(yield* rows, {})
    }).pipe(timed)
  )

  it.effect("pause_with_what_is_left_and_go_on_with_it", () =>
    Effect.gen(function* () {
      const { enter, rows } = yield* newCase
      yield* clock("2026-11-18T10:00")
      yield* enter(null, "working")
      yield* clock("2026-11-18T11:30")
      yield* enter("working", "waiting")
      // Nine working hours less one and a half; two hours less one and a half.
      assert.deepStrictEqual(yield* rows, { answer: "paused 27000", lapse: "paused 1800" })
      yield* clock("2026-11-21T15:00")
      assert.strictEqual(yield* withPlatform(fireDue()), 0)
      yield* enter("waiting", "working")
      // A Saturday: the office opens on Monday, seven and a half hours are left; the other clock does not know of weekends.
      assert.deepStrictEqual(yield* rows, { answer: "runs 2026-11-23T16:30", lapse: "runs 2026-11-21T15:30" })
    }).pipe(timed)
  )

  it.effect("begin_whole_after_a_pause_before_the_beginning", () =>
    Effect.gen(function* () {
      const { enter, rows } = yield* newCase
      yield* clock("2026-11-18T10:00")
      yield* enter(null, "waiting")
      assert.deepStrictEqual(yield* rows, { answer: "paused null", lapse: "paused null" })
      yield* clock("2026-11-19T10:00")
      yield* enter("waiting", "working")
      assert.deepStrictEqual(yield* rows, { answer: "runs 2026-11-20T10:00", lapse: "runs 2026-11-19T12:00" })
    }).pipe(timed)
  )

  it.effect("become_one_job_each_when_they_pass", () =>
    Effect.gen(function* () {
      const { enter, id, jobs, rows } = yield* newCase
      yield* clock("2026-11-18T10:00")
      yield* enter(null, "working")
      yield* clock("2026-11-18T12:00")
      const fired = yield* Effect.all([withPlatform(fireDue()), withPlatform(fireDue()), withPlatform(fireDue())], {
        concurrency: 3
      })
      assert.strictEqual(
        fired.reduce((a, b) => a + b),
        1
      )
      assert.deepStrictEqual(yield* jobs, [{ topic: "kernel.deadline", body: { caseId: id, name: "lapse" } }])
      assert.deepStrictEqual(yield* rows, { answer: "runs 2026-11-19T10:00", lapse: "fired 2026-11-18T12:00" })
    }).pipe(timed)
  )

  it.effect("take_their_transition_once_however_often_the_job_runs", () =>
    Effect.gen(function* () {
      const { enter, id, rows, run } = yield* newCase
      yield* clock("2026-11-18T10:00")
      yield* enter(null, "working")
      const took: Array<unknown> = []
      assert.strictEqual(yield* run("lapse", took), "stale")
      yield* clock("2026-11-18T13:00")
      yield* withPlatform(fireDue())
      const outcomes = yield* Effect.all([run("lapse", took), run("lapse", took)], { concurrency: 2 })
      assert.sameMembers([...outcomes], ["transition", "stale"])
      assert.deepStrictEqual(took, [[id, "lapse", { why: "late" }]])
      assert.deepStrictEqual(yield* rows, { answer: "runs 2026-11-19T10:00" })
    }).pipe(timed)
  )

  it.effect("tell_roles_and_escalate_by_events", () =>
    Effect.gen(function* () {
      const { enter, events, id, run } = yield* newCase
      yield* clock("2026-11-18T10:00")
      yield* enter(null, "new")
      yield* clock("2026-11-20T10:00")
      yield* withPlatform(fireDue())
      assert.strictEqual(yield* run("answer"), "notify")
      yield* enter("new", "late")
      yield* withPlatform(fireDue())
      assert.strictEqual(yield* run("raise"), "escalate")
      const about = { type: "clocked", reference: referenceOf(id) }
      assert.deepStrictEqual(yield* events, [
        { type: "case.deadline-passed", payload: { ...about, deadline: "answer", roles: ["dispatcher"] } },
        { type: "case.escalated", payload: { ...about, deadline: "raise", role: "inspector" } }
      ])
    }).pipe(timed)
  )

  it.effect("are_stale_when_the_case_left_the_state_or_came_back_before_the_job_ran", () =>
    Effect.gen(function* () {
      const { enter, rows, run } = yield* newCase
      yield* clock("2026-11-18T10:00")
      yield* enter(null, "working")
      yield* clock("2026-11-18T13:00")
      yield* withPlatform(fireDue())
      yield* enter("working", "done")
      assert.strictEqual(yield* run("lapse"), "stale")
      yield* enter("done", "working")
      assert.strictEqual(yield* run("lapse"), "stale")
      assert.strictEqual((yield* rows)["lapse"], "runs 2026-11-18T15:00")
    }).pipe(timed)
  )

  it.effect("pass_after_the_pause_when_the_case_paused_before_the_job_ran", () =>
    Effect.gen(function* () {
      const { enter, rows, run } = yield* newCase
      yield* clock("2026-11-18T10:00")
      yield* enter(null, "working")
      yield* clock("2026-11-18T13:00")
      yield* withPlatform(fireDue())
      yield* enter("working", "waiting")
      assert.strictEqual(yield* run("lapse"), "stale")
      assert.strictEqual((yield* rows)["lapse"], "paused 0")
      yield* enter("waiting", "working")
      assert.strictEqual(yield* withPlatform(fireDue()), 1)
      assert.strictEqual(yield* run("lapse"), "transition")
      // Acted upon: another pause does not begin it again.
      yield* enter("working", "waiting")
      yield* enter("waiting", "working")
      assert.notProperty(yield* rows, "lapse")
    }).pipe(timed)
  )

  it.effect("are_fired_in_batches", () =>
    Effect.gen(function* () {
      const cases = yield* Effect.all(Array.from({ length: 5 }, () => newCase))
      yield* clock("2026-11-18T10:00")
      for (const { enter } of cases) yield* enter(null, "late")
      yield* clock("2026-11-19T10:00")
      assert.strictEqual(yield* withPlatform(fireDue(3)), 3)
      assert.isAtLeast(yield* withPlatform(fireDue(3)), 2)
      for (const { run } of cases) assert.strictEqual(yield* run("raise"), "escalate")
    }).pipe(timed)
  )
})

describe("defineCaseType", () => {
  it("refuses_a_deadline_that_cannot_be_read", () => {
    const deadlines = { answer: { ...definition.deadlines!["answer"]!, within: "two days" } }
    assert.throws(
      () => defineCaseType({ definition: { ...definition, deadlines } }),
      /clocked: deadline answer: .*two days/
    )
  })
})
