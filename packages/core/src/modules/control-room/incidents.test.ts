import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { linksOf, mergeDuplicate } from "../../kernel/cases/links.ts"
import { createCase } from "../../kernel/cases/create.ts"
import { loadCase } from "../../kernel/cases/record.ts"
import { transitionCase } from "../../kernel/cases/transition.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { as, outcome } from "../../test/caseRooms.ts"
import { controlRooms, friday, lowPressure, onFriday, pump, valve, watchedCity } from "../../test/controlRooms.ts"
import { createIncident, linkAlerts } from "./incidents.ts"
import { clearAlert, raiseAlert, updateAlert } from "./raise.ts"

const keyOf = (rule: string) => ({ rule, originator: pump })

/** Three alerts: minor, major, warning. */
const start = Effect.gen(function* () {
  const city = yield* watchedCity
  const raised = (rule: string, severity: "minor" | "major" | "warning") =>
    Effect.map(city.inside(raiseAlert({ ...lowPressure, key: keyOf(rule), severity })), ({ caseId }) => caseId!)
  const ids = [yield* raised("a", "minor"), yield* raised("b", "major"), yield* raised("c", "warning")] as const
  const load = (id: string) => city.inside(loadCase(id))
  return {
    ...city,
    ids,
    load,
    open: (alerts: ReadonlyArray<string>, commanderId?: string) =>
      as(city.operator)(createIncident({ title: "Burst main", alerts, commanderId })),
    severityOf: (id: string) => Effect.map(load(id), ({ data }) => data["severity"]),
    states: Effect.map(city.alerts, (alerts) => alerts.map(({ state }) => state))
  }
})

layer(controlRooms(inject("postgresUrl")), { excludeTestServices: true })("an incident", (it) => {
  it.effect("holds_several_alerts_is_as_bad_as_the_worst_and_has_a_commander", () =>
    onFriday(
      Effect.gen(function* () {
        const { alerts, ids, inside, open, operator, severityOf, staff, states, take } = yield* start
        const chief = yield* staff("inspector")
        const incident = yield* open([ids[0], ids[2]], chief.id!)
        assert.strictEqual(incident.assigneeId, chief.id)
        assert.strictEqual(incident.data["severity"], "minor")
        assert.deepStrictEqual(yield* states, ["incident", "open", "incident"])
        assert.strictEqual((yield* alerts)[0]!.data["acknowledgedBy"], operator.id)
        assert.strictEqual(yield* take("link", ids[1], { incident: incident.id }), "ok")
        assert.strictEqual(yield* severityOf(incident.id), "major")
        yield* inside(updateAlert({ key: keyOf("c"), episode: "1", at: friday, severity: "critical" }))
        assert.strictEqual(yield* severityOf(incident.id), "critical")
        assert.strictEqual(yield* take("unlink", ids[2]), "ok")
        assert.strictEqual(yield* severityOf(incident.id), "major")
        const links = yield* as(operator)(linksOf(incident.id))
        assert.sameMembers(
          links.map(({ other }) => other.id),
          [ids[0], ids[1]]
        )
      })
    )
  )

  it.effect("resolves_its_alerts_with_itself", () =>
    onFriday(
      Effect.gen(function* () {
        const { ids, inside, open, states, take } = yield* start
        const { id } = yield* open(ids)
        yield* inside(clearAlert({ key: keyOf("b"), episode: "1", at: friday }))
        assert.strictEqual(yield* take("resolve", id), "InvalidInput")
        assert.strictEqual(yield* take("resolve", id, { outcome: "The main was mended." }), "ok")
        assert.deepStrictEqual(yield* states, ["resolved", "resolved", "resolved"])
        yield* inside(clearAlert({ key: keyOf("a"), episode: "1", at: friday }))
        assert.deepStrictEqual(yield* states, ["closed", "resolved", "resolved"])
        assert.strictEqual(yield* take("close", id), "ok")
        assert.strictEqual(yield* take("reopen", id, { reason: "It leaks again" }), "ok")
        assert.strictEqual(yield* take("investigate", ids[1]), "ok")
      })
    )
  )

  it.effect("lets_an_alert_that_comes_back_later_be_part_of_another", () =>
    onFriday(
      Effect.gen(function* () {
        const { ids, open, operator, states, take } = yield* start
        const first = yield* open([ids[0], ids[1]])
        assert.strictEqual(yield* take("resolve", first.id, { outcome: "The main was mended." }), "ok")
        assert.strictEqual(yield* take("reopen", ids[0], { reason: "Still low" }), "ok")
        const second = yield* open([])
        assert.strictEqual(yield* take("link", ids[0], { incident: second.id }), "ok")
        assert.deepStrictEqual(yield* states, ["incident", "resolved", "open"])
        const parts = (id: string) =>
          Effect.map(as(operator)(linksOf(id)), (links) => links.map(({ other }) => other.id))
        assert.deepStrictEqual([yield* parts(first.id), yield* parts(second.id)], [[ids[1]], [ids[0]]])
      })
    )
  )

  it.effect("takes_over_everything_of_one_that_is_merged_into_it", () =>
    onFriday(
      Effect.gen(function* () {
        const { ids, load, open, operator, severityOf } = yield* start
        const one = yield* open([ids[0]])
        const two = yield* open([ids[1]])
        const order = yield* as(operator)(
          createCase({
            type: "work-order",
            data: { title: "Look at it", kind: "inspect", assetId: valve },
            parentId: two.id
          })
        )
        yield* as(operator)(
          mergeDuplicate({ duplicateId: two.id, intoId: one.id }, (record, transition, input) =>
            Effect.provideService(
              transitionCase({ caseId: record.id, transition, input }),
              Actor,
              system(operator.tenantId)
            )
          )
        )
        assert.strictEqual((yield* load(two.id)).state, "merged")
        assert.strictEqual(yield* severityOf(one.id), "major")
        const links = yield* as(operator)(linksOf(one.id))
        assert.sameMembers(
          links.filter(({ kind }) => kind === "parent").map(({ other }) => other.id),
          [ids[0], ids[1], order.id]
        )
        assert.strictEqual(yield* outcome(as(operator)(linkAlerts(two.id, [ids[2]]))), "Refused incident-over")
      })
    )
  )

  it.effect("takes_all_of_the_named_alerts_or_none", () =>
    onFriday(
      Effect.gen(function* () {
        const { ids, open, operator, states } = yield* start
        const other = yield* start
        const { id } = yield* open([])
        const all = outcome(as(operator)(linkAlerts(id, [ids[0], other.ids[0]])))
        assert.strictEqual(yield* all, "NotFound")
        assert.deepStrictEqual(yield* states, ["open", "open", "open"])
      })
    )
  )

  it.effect("is_opened_by_those_who_may", () =>
    onFriday(
      Effect.gen(function* () {
        const { citizen, dispatcher, ids } = yield* start
        for (const actor of [citizen, dispatcher])
          assert.strictEqual(yield* outcome(as(actor)(createIncident({ title: "Mine", alerts: [] }))), "Forbidden")
        assert.strictEqual(yield* outcome(as(citizen)(createIncident({ title: "Mine", alerts: ids }))), "NotFound")
      })
    )
  )
})
