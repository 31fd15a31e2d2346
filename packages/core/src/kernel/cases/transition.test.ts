import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { as } from "../../test/caseRooms.ts"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { TenantTx, withPlatform, withTenant } from "../db/Database.ts"
import { enqueue } from "../jobs/enqueue.ts"
import { Policy } from "../policy/Policy.ts"
import { presetRoles, rolesOf } from "../policy/presets.ts"
import { anonymous, type Principal, system } from "../policy/Principal.ts"
import { type CaseTypeDefinition, defineCaseType } from "./CaseType.ts"
import { createCase } from "./create.ts"
import { type InvalidInput, Refused } from "./model.ts"
import { loadCase } from "./record.ts"
import { CaseTypes, makeCaseTypes, storeCaseTypes } from "./registry.ts"
import { transitionCase, type TransitionRequest } from "./transition.ts"

const title = (en: string) => ({ en })

const definition: CaseTypeDefinition = {
  id: "permit",
  version: 1,
  title: title("Permit"),
  data: {
    properties: {
      subject: { type: "string", maxLength: 20, visibility: "public" },
      amount: { type: "integer", minimum: 0 },
      phone: { type: "string", personal: true },
      note: { type: "string", visibility: "staff" },
      when: { type: "string", format: "date" },
      contacts: {
        type: "array",
        items: { type: "object", properties: { name: { type: "string", minLength: 1 } }, required: ["name"] }
      }
    },
    required: ["subject"]
  },
  place: "optional",
  anonymous: false,
  public: false,
  attachments: { min: 0, max: 1 },
  creatable: true,
  initial: "asked",
  states: {
    asked: { title: title("Asked"), phase: "open" },
    granted: { title: title("Granted"), phase: "fixed" },
    refused: { title: title("Refused"), phase: "closed" }
  },
  transitions: {
    decide: {
      title: title("Decide"),
      from: ["asked"],
      to: ["granted", "refused"],
      input: {
        properties: {
          amount: { type: "integer", minimum: 0 },
          note: { type: "string" },
          phone: { type: "string", personal: true }
        },
        required: ["amount"]
      },
      sets: ["amount", "note"],
      guards: ["notTwelve", "notThirteen"],
      apply: "choose",
      event: "decided"
    },
    expire: { title: title("Expire"), from: ["asked"], to: ["refused"], internal: true },
    astray: {
      title: title("Astray"),
      from: ["asked"],
      to: ["granted", "refused"],
      permission: "permit.decide",
      apply: "astray"
    },
    fail: { title: title("Fail"), from: ["asked"], to: ["granted"], permission: "permit.decide", apply: "fail" }
  },
  search: ["subject"]
}

const refuse = (number: number) => (context: { readonly input: { readonly amount?: number } }) =>
  context.input.amount === number
    ? Effect.fail(new Refused({ code: `no-${number}`, message: `${number} is not to be had.` }))
    : Effect.void

const types = makeCaseTypes([
  defineCaseType({
    definition,
    guards: { notTwelve: refuse(12), notThirteen: refuse(13) },
    applies: {
      choose: ({ input }) =>
        Effect.succeed(
          (input as { amount: number }).amount === 0
            ? { to: "refused", event: { because: "nothing asked" } }
            : { data: { note: "applied" } }
        ),
      astray: () => Effect.succeed({ to: "asked" }),
      fail: () =>
        Effect.andThen(
          enqueue([{ topic: "test.lost", body: {} }]),
          Effect.fail(new Refused({ code: "late", message: "Too late." }))
        )
    }
  })
])

const rooms = Layer.effectDiscard(withPlatform(storeCaseTypes(types.all))).pipe(
  Layer.provideMerge(testKernel({ postgresUrl: inject("postgresUrl"), maxConnections: 16 })),
  Layer.provideMerge(Layer.succeed(CaseTypes, types)),
  Layer.provideMerge(Layer.succeed(Policy, { roles: rolesOf(presetRoles, ["permit"]) }))
)

const people = Effect.gen(function* () {
  const { tenantId } = yield* createTenant()
  const owner = yield* createPrincipal(tenantId)
  const inspector = yield* createPrincipal(tenantId, { kind: "staff", roles: ["inspector"] })
  const create = (data: unknown, actor: Principal = owner) => as(actor)(createCase({ type: "permit", data }))
  const take = (actor: Principal, request: TransitionRequest) => as(actor)(transitionCase(request))
  return { tenantId, owner, inspector, create, take }
})

const eventsOf = (tenantId: string, caseId: string) =>
  withTenant(tenantId)(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql<{ type: string; payload: Record<string, unknown>; sealed: ReadonlyArray<string> }>`
        select type, payload, (select coalesce(array_agg(name order by name), '{}') from jsonb_object_keys(commitments) as name) as sealed
        from mahalla.event where case_id = ${caseId} order by id`
    )
  )

const pointers = (error: unknown) => (error as InvalidInput).issues.map((issue) => issue.pointer)

layer(rooms, { excludeTestServices: true })("cases", (it) => {
  it.effect("are_made_with_data_that_obeys_their_schema_and_name_every_field_that_does_not", () =>
    Effect.gen(function* () {
      const { create } = yield* people
      const bad: ReadonlyArray<readonly [unknown, ReadonlyArray<string>]> = [
        [{}, ["/data/subject"]],
        ["text", ["/data"]],
        [{ subject: "x".repeat(21), amount: -1 }, ["/data/subject", "/data/amount"]],
        [{ subject: "x", amount: 1.5 }, ["/data/amount"]],
        [{ subject: "x", other: 1 }, ["/data/other"]],
        [{ subject: "x", when: "2026-02-30" }, ["/data/when"]],
        [
          { subject: "x", contacts: [{ name: "a" }, {}, { name: "" }] },
          ["/data/contacts/1/name", "/data/contacts/2/name"]
        ],
        [{ subject: "x", contacts: [{ name: "a", "a/b~c": 1 }] }, ["/data/contacts/0/a~1b~0c"]]
      ]
      for (const [data, expected] of bad) {
        const error = yield* Effect.flip(create(data))
        assert.strictEqual(error._tag, "InvalidInput")
        assert.deepStrictEqual(pointers(error), expected, JSON.stringify(data))
      }
      const made = yield* create({ subject: "stall", phone: "+998901112233" })
      assert.deepInclude(made, { state: "asked", phase: "open", version: 1, typeVersion: 1 })
      assert.match(made.reference, /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/)
    })
  )

  it.effect("keep_personal_data_out_of_their_events", () =>
    Effect.gen(function* () {
      const { create, inspector, take, tenantId } = yield* people
      const { id } = yield* create({ subject: "stall", phone: "+998901112233" })
      yield* take(inspector, { caseId: id, transition: "decide", input: { amount: 3, phone: "+998907654321" } })
      const events = yield* eventsOf(tenantId, id)
      assert.deepStrictEqual(
        events.map(({ sealed, type }) => [type, sealed]),
        [
          ["permit.created", ["phone"]],
          ["permit.decided", ["phone"]]
        ]
      )
      assert.notMatch(JSON.stringify(events.map((event) => event.payload)), /9989/)
    })
  )

  it.effect("change_by_transition_with_what_it_sets_and_what_its_apply_adds", () =>
    Effect.gen(function* () {
      const { create, inspector, take, tenantId } = yield* people
      const one = yield* create({ subject: "stall", amount: 1 })
      const granted = yield* take(inspector, {
        caseId: one.id,
        transition: "decide",
        input: { amount: 5, note: "given" },
        ifVersion: 1
      })
      assert.deepInclude(granted, { state: "granted", phase: "fixed", version: 2 })
      assert.deepStrictEqual(granted.data, { subject: "stall", amount: 5, note: "applied" })
      assert.deepStrictEqual((yield* withTenant(tenantId)(loadCase(one.id))).data, granted.data)
      const two = yield* create({ subject: "stall" })
      const refused = yield* take(inspector, { caseId: two.id, transition: "decide", input: { amount: 0 } })
      assert.deepInclude(refused, { state: "refused", phase: "closed" })
      const [, decided] = yield* eventsOf(tenantId, two.id)
      assert.deepInclude(decided!.payload, {
        from: "asked",
        to: "refused",
        version: 2,
        because: "nothing asked",
        amount: 0
      })
    })
  )

  it.effect("do_not_change_when_anything_stands_against_it", () =>
    Effect.gen(function* () {
      const { create, inspector, owner, take, tenantId } = yield* people
      const stranger = yield* createPrincipal(tenantId)
      const elsewhere = yield* people
      const { id } = yield* create({ subject: "stall" })
      const decide = (input: unknown, more: Partial<TransitionRequest> = {}): TransitionRequest => ({
        caseId: id,
        transition: "decide",
        input,
        ...more
      })
      const cases: ReadonlyArray<
        readonly [name: string, who: Principal, request: TransitionRequest, tag: string, hint?: string]
      > = [
        ["no right", owner, decide({ amount: 1 }), "Forbidden"],
        ["not visible", stranger, decide({ amount: 1 }), "NotFound"],
        ["a visitor", anonymous(tenantId), decide({ amount: 1 }), "NotFound"],
        ["another tenant's inspector", elsewhere.inspector, decide({ amount: 1 }), "NotFound"],
        ["no such transition", inspector, { ...decide({}), transition: "explode" }, "NotFound"],
        ["what every object has", system(tenantId), { ...decide({}), transition: "toString" }, "NotFound"],
        ["the engine's own", inspector, { ...decide({}), transition: "expire" }, "NotFound"],
        ["a stale version", inspector, decide({ amount: 1 }, { ifVersion: 7 }), "VersionConflict"],
        ["no input", inspector, decide(undefined), "InvalidInput", "/amount"],
        ["an unknown input", inspector, decide({ amount: 1, x: 1 }), "InvalidInput", "/x"],
        ["the first guard", inspector, decide({ amount: 12 }), "Refused", "no-12"],
        ["the second guard", inspector, decide({ amount: 13 }), "Refused", "no-13"],
        ["an apply that fails", inspector, { ...decide({}), transition: "fail" }, "Refused", "late"]
      ]
      for (const [name, who, request, tag, hint] of cases) {
        const error = (yield* Effect.flip(take(who, request))) as { _tag: string; code?: string }
        assert.strictEqual(error._tag, tag, name)
        if (hint !== undefined) assert.strictEqual(tag === "Refused" ? error.code : pointers(error)[0], hint, name)
      }
      const defect = yield* Effect.exit(take(inspector, { ...decide({}), transition: "astray" }))
      assert.match(
        defect._tag === "Failure" ? Cause.pretty(defect.cause) : "",
        /apply chose asked, which is not a target/
      )
      const now = yield* withTenant(tenantId)(loadCase(id))
      assert.deepInclude(now, { state: "asked", version: 1 })
      assert.strictEqual((yield* eventsOf(tenantId, id)).length, 1)
      const jobs = yield* withTenant(tenantId)(
        Effect.flatMap(TenantTx, ({ sql }) => sql`select from mahalla.job where topic = 'test.lost'`)
      )
      assert.strictEqual(jobs.length, 0, "what an apply began went back with it")
      yield* take(system(tenantId), { caseId: id, transition: "expire" })
      const late = yield* Effect.flip(take(inspector, decide({ amount: 1 })))
      assert.deepInclude(late, { _tag: "WrongState", state: "refused", possible: [] })
    })
  )

  it.effect("are_decided_once_by_twenty_who_decide_at_the_same_moment", () =>
    Effect.gen(function* () {
      const { create, inspector, take, tenantId } = yield* people
      const { id } = yield* create({ subject: "stall" })
      const outcomes = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, index) => index + 20),
        (amount) => Effect.result(take(inspector, { caseId: id, transition: "decide", input: { amount } })),
        { concurrency: "unbounded" }
      )
      const won = outcomes.flatMap((one) => (one._tag === "Success" ? [one.success.data["amount"]] : []))
      assert.strictEqual(won.length, 1)
      for (const one of outcomes)
        if (one._tag === "Failure") assert.strictEqual((one.failure as { _tag: string })._tag, "WrongState")
      const now = yield* withTenant(tenantId)(loadCase(id))
      assert.deepStrictEqual([now.version, now.data["amount"]], [2, won[0]])
      assert.strictEqual((yield* eventsOf(tenantId, id)).length, 2)
    })
  )
})
