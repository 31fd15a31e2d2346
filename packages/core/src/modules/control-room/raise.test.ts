import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { TenantTx } from "../../kernel/db/Database.ts"
import { eventsOf, outcome } from "../../test/caseRooms.ts"
import { controlRooms, friday, lowPressure, onFriday, pump, valve, watchedCity } from "../../test/controlRooms.ts"
import { applyAlertEffects, clearAlert, raiseAlert, updateAlert } from "./raise.ts"

const { key } = lowPressure

layer(controlRooms(inject("postgresUrl")), { excludeTestServices: true })("raising alerts", (it) => {
  it.effect("makes_one_alert_of_fifty_raises_at_once", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, inside } = yield* watchedCity
        const raised = yield* Effect.forEach(
          Array.from({ length: 50 }, (_, n) => String(n + 1)),
          (episode) => inside(raiseAlert({ ...lowPressure, episode })),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(raised.filter(({ outcome: what }) => what === "raised").length, 1)
        assert.strictEqual(raised.filter(({ outcome: what }) => what === "active").length, 49)
        const [alert, ...others] = yield* alerts
        assert.isEmpty(others)
        assert.deepInclude(alert, { active: true, times: 50, severity: "major", state: "open" })
        assert.deepStrictEqual([...new Set(raised.map(({ caseId }) => caseId))], [alert!.id])
      })
    )
  )

  it.effect("makes_one_alert_of_one_episode_raised_fifty_times_at_once", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, inside } = yield* watchedCity
        const raised = yield* Effect.forEach(Array.from({ length: 50 }), () => inside(raiseAlert(lowPressure)), {
          concurrency: "unbounded"
        })
        assert.strictEqual(raised.filter(({ outcome: what }) => what === "raised").length, 1)
        assert.strictEqual(raised.filter(({ outcome: what }) => what === "repeated").length, 49)
        assert.strictEqual((yield* alerts)[0]!.times, 1)
      })
    )
  )

  it.effect("has_no_second_active_row_even_past_the_lock", () =>
    onFriday(
      Effect.gen(function* () {
        const { inside } = yield* watchedCity
        const { caseId } = yield* inside(raiseAlert(lowPressure))
        const other = yield* inside(raiseAlert({ ...lowPressure, key: { ...key, originator: valve } }))
        const forced = yield* Effect.exit(
          inside(
            Effect.flatMap(
              TenantTx,
              ({ sql }) => sql`update mahalla.alert set originator = ${pump} where case_id = ${other.caseId}`
            )
          )
        )
        assert.isTrue(Exit.isFailure(forced) && String(forced.cause).includes("UniqueViolation"), String(caseId))
      })
    )
  )

  it.effect("raises_nothing_for_an_episode_that_is_repeated_even_after_it_was_cleared", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, inside } = yield* watchedCity
        const first = yield* inside(raiseAlert(lowPressure))
        assert.strictEqual((yield* inside(clearAlert({ key, episode: "1", at: friday + 60_000 }))).outcome, "cleared")
        assert.deepStrictEqual(yield* inside(raiseAlert(lowPressure)), { outcome: "repeated", caseId: first.caseId })
        assert.deepStrictEqual(
          (yield* alerts).map(({ active, state }) => [active, state]),
          [[false, "open"]]
        )
        assert.strictEqual((yield* inside(raiseAlert({ ...lowPressure, episode: "2" }))).outcome, "raised")
        assert.strictEqual((yield* alerts).length, 2)
      })
    )
  )

  it.effect("counts_and_keeps_the_latest_without_a_version_and_takes_a_step_when_the_severity_changes", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, inside, rows, tenantId } = yield* watchedCity
        const { caseId } = yield* inside(raiseAlert(lowPressure))
        const version = rows<{ version: number }>(
          ({ sql }) => sql`select version from mahalla.civic_case where id = ${caseId}`
        )
        yield* inside(updateAlert({ key, episode: "1", at: friday + 1000, severity: "major", details: { value: 2 } }))
        assert.deepStrictEqual(yield* version, [{ version: 1 }])
        yield* inside(updateAlert({ key, episode: "1", at: friday + 2000, severity: "critical", summary: "1 bar" }))
        yield* inside(updateAlert({ key, episode: "1", at: friday + 3000, severity: "minor" }))
        assert.deepStrictEqual(yield* version, [{ version: 3 }])
        const [alert] = yield* alerts
        assert.deepInclude(alert, { severity: "minor", times: 4, state: "open" })
        assert.deepInclude(alert!.data, { severity: "minor", summary: "1 bar", status: "ACTIVE_UNACK" })
        assert.deepStrictEqual(
          (yield* eventsOf(tenantId, caseId!)).map(({ payload, type }) => [type, payload["severity"]]),
          [
            ["alert.change", "critical"],
            ["alert.change", "minor"]
          ]
        )
        yield* inside(clearAlert({ key, episode: "1", at: friday + 4000 }))
        assert.deepInclude((yield* alerts)[0]!.data, {
          times: 4,
          details: { value: 2 },
          clearedAt: new Date(friday + 4000).toISOString()
        })
      })
    )
  )

  it.effect("lets_a_late_word_about_an_earlier_episode_change_nothing", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, inside } = yield* watchedCity
        yield* inside(raiseAlert(lowPressure))
        assert.strictEqual((yield* inside(raiseAlert({ ...lowPressure, episode: "2" }))).outcome, "active")
        assert.strictEqual((yield* inside(clearAlert({ key, episode: "1", at: friday }))).outcome, "ignored")
        assert.strictEqual((yield* inside(updateAlert({ key, episode: "1", at: friday }))).outcome, "ignored")
        assert.deepInclude((yield* alerts)[0], { active: true, episode: "2", times: 2 })
        assert.strictEqual((yield* inside(clearAlert({ key, episode: "2", at: friday }))).outcome, "cleared")
      })
    )
  )

  it.effect("applies_a_batch_in_its_order", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, inside } = yield* watchedCity
        const clear = { kind: "clear", key, episode: "1", at: friday + 10 } as const
        const batch = applyAlertEffects([
          clear,
          { kind: "raise", ...lowPressure },
          { kind: "update", key, episode: "1", at: friday + 5, severity: "critical" },
          { kind: "raise", ...lowPressure },
          clear,
          clear,
          { kind: "raise", ...lowPressure, episode: "2", at: friday + 20 },
          { kind: "raise", ...lowPressure, key: { rule: "low-pressure", originator: valve } }
        ])
        const outcomes = yield* inside(batch)
        assert.deepStrictEqual(
          outcomes.map(({ outcome: what }) => what),
          ["ignored", "raised", "updated", "repeated", "cleared", "ignored", "raised", "raised"]
        )
        assert.deepStrictEqual(
          (yield* alerts).map(({ active, severity, times }) => [active, severity, times]),
          [
            [false, "critical", 2],
            [true, "major", 1],
            [true, "major", 1]
          ]
        )
        // After a crash the follower says all of it again.
        assert.deepStrictEqual(
          (yield* inside(batch)).map(({ outcome: what }) => what),
          ["ignored", "repeated", "ignored", "repeated", "ignored", "ignored", "repeated", "repeated"]
        )
      })
    )
  )

  it.effect("leaves_nothing_when_the_connection_dies_before_the_commit", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, inside, rows } = yield* watchedCity
        const died = yield* Effect.exit(
          inside(
            Effect.gen(function* () {
              yield* raiseAlert(lowPressure)
              const { sql } = yield* TenantTx
              yield* sql`select pg_terminate_backend(pg_backend_pid())`
            })
          )
        )
        assert.isTrue(Exit.isFailure(died))
        assert.isEmpty(yield* alerts)
        for (const table of ["civic_case", "alert_episode", "event", "case_subscriber", "alert_propagation"])
          assert.isEmpty(yield* rows(({ sql }) => sql`select from ${sql(`mahalla.${table}`)}`), table)
        assert.strictEqual((yield* inside(raiseAlert(lowPressure))).outcome, "raised")
      })
    )
  )

  it.effect("and_a_hand_that_clears_at_the_same_moment_come_one_after_the_other", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, inside, take } = yield* watchedCity
        for (let n = 0; n < 15; n++) {
          const episode = "1"
          // Another rule each time: one that comes and goes would be guarded.
          const key = { rule: `rule-${n}`, originator: pump }
          const { caseId } = yield* inside(raiseAlert({ ...lowPressure, key, episode }))
          assert.strictEqual(yield* take("acknowledge", caseId!), "ok")
          const clear = inside(clearAlert({ key, episode, at: friday }))
          const worse = inside(updateAlert({ key, episode, at: friday, severity: "critical" }))
          const [byHand, changed, byRule] = yield* Effect.all(
            [take("clear", caseId!, { reason: "By hand" }), worse, clear],
            { concurrency: 3 }
          )
          // Whoever comes second finds it closed, and nobody's whole batch fails for it.
          assert.strictEqual(byHand, byRule.outcome === "cleared" ? "WrongState" : "ok")
          assert.include(["updated", "ignored"], changed.outcome)
        }
        assert.deepStrictEqual(
          [...new Set((yield* alerts).map(({ active, state }) => `${active} ${state}`))],
          ["false closed"]
        )
      })
    )
  )

  it.effect("refuses_a_batch_with_a_mistake_as_a_whole_and_names_every_mistake", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, inside } = yield* watchedCity
        const failure = yield* Effect.flip(
          inside(
            applyAlertEffects([
              { kind: "raise", ...lowPressure },
              { kind: "raise", ...lowPressure, episode: "", summary: "", details: { text: "x".repeat(20_000) } },
              { kind: "clear", key: { rule: "r", originator: "Pump 7" }, episode: "1", at: Number.NaN }
            ])
          )
        )
        assert.deepStrictEqual(
          (failure as { issues: ReadonlyArray<{ pointer: string }> }).issues.map(({ pointer }) => pointer),
          ["/1/episode", "/1/summary", "/1/details", "/2/key/originator", "/2/at"]
        )
        assert.isEmpty(yield* alerts)
      })
    )
  )

  it.effect("keeps_tenants_apart", () =>
    onFriday(
      Effect.gen(function* () {
        const one = yield* watchedCity
        const two = yield* watchedCity
        const { caseId } = yield* one.inside(raiseAlert(lowPressure))
        assert.strictEqual((yield* two.inside(raiseAlert(lowPressure))).outcome, "raised")
        yield* two.inside(clearAlert({ key, episode: "1", at: friday }))
        assert.deepStrictEqual(
          (yield* one.alerts).map(({ active, id }) => [active, id]),
          [[true, caseId]]
        )
        assert.deepStrictEqual(
          (yield* two.alerts).map(({ active }) => active),
          [false]
        )
        assert.strictEqual(yield* two.take("acknowledge", caseId!), "NotFound")
        assert.strictEqual(yield* one.take("acknowledge", caseId!), "ok")
        assert.strictEqual(yield* outcome(one.inside(updateAlert({ key, episode: "1", at: friday }))), "ok")
      })
    )
  )
})
