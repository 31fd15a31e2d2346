/** Doors of the treasury: payouts, accounts, the budget. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { InvalidInput, NotFound, Refused } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { Door, inTenant } from "../../kernel/http/Door.ts"
import { needsIdempotencyKey, once, takesIdempotencyKey } from "../../kernel/http/once.ts"
import { Id } from "../../kernel/ids.ts"
import { demand, demandEverywhere, may } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { refusePayout, settlePayout } from "./jobs.ts"
import { fundBudget, retryPayout } from "./rewards.ts"
import { listPayouts, loadPayout } from "./sql.ts"
import { Amount, PayoutView, viewOf } from "./view.ts"

const AccountView = Schema.Struct({
  id: Id,
  kind: Schema.String,
  name: Schema.String,
  currency: Schema.String,
  balance: Schema.String,
  reserved: Schema.String
}).annotate({ identifier: "Account" })

export const PayoutsApi = cityApi("payouts")
  .add(
    HttpApiGroup.make("payouts")
      .add(
        HttpApiEndpoint.get("listPayouts", "/payouts", {
          query: {
            cursor: Schema.optionalKey(Id),
            limit: Schema.optionalKey(
              Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 200 }))
            ),
            state: Schema.optionalKey(Schema.String)
          },
          success: Schema.Struct({ items: Schema.Array(PayoutView), cursor: Schema.optionalKey(Id) })
        })
      )
      .add(HttpApiEndpoint.get("getPayout", "/payouts/:id", { params: { id: Id }, success: PayoutView }))
      .add(
        HttpApiEndpoint.post("settlePayout", "/payouts/:id/settlement", {
          params: { id: Id },
          payload: Schema.Struct({
            outcome: Schema.Literals(["succeeded", "failed"]),
            /** The rail's name of the payment, from its register; needed for `succeeded`. */
            reference: Schema.optionalKey(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(100))),
            /** What it rests on, as "register of 20 November". */
            reason: Schema.String.check(Schema.isMinLength(3), Schema.isMaxLength(500))
          }),
          success: PayoutView
        })
      )
      .add(
        HttpApiEndpoint.post("retryPayout", "/payouts/:id/retry", {
          params: { id: Id },
          success: PayoutView.pipe(HttpApiSchema.status(201))
        }).annotate(OpenApi.Transform, takesIdempotencyKey)
      )
      .add(
        HttpApiEndpoint.get("accounts", "/accounts", { success: Schema.Struct({ items: Schema.Array(AccountView) }) })
      )
      .add(
        HttpApiEndpoint.post("fundBudget", "/accounts/budget/funds", {
          payload: Schema.Struct({
            amount: Amount,
            memo: Schema.String.check(Schema.isMinLength(3), Schema.isMaxLength(200))
          }),
          success: HttpApiSchema.NoContent
        }).annotate(OpenApi.Transform, needsIdempotencyKey)
      )
      .middleware(Door)
  )
  .prefix("/v1")

const handlers = HttpApiBuilder.group(PayoutsApi, "payouts", (group) =>
  group
    .handle("listPayouts", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          const actor = yield* Actor
          const all = yield* may("payout.read", { territoryPath: [] })
          if (!all.allowed) yield* demand("payout.read", { territoryPath: [], ownerId: actor.id })
          const limit = query.limit ?? 50
          const rows = yield* listPayouts({
            principalId: all.allowed ? null : actor.id,
            state: query.state ?? null,
            cursor: query.cursor ?? null,
            limit: limit + 1
          })
          const items = rows.slice(0, limit).map(viewOf)
          return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.id } : {}) }
        })
      )
    )
    .handle("getPayout", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          const payout = yield* loadPayout(params.id)
          const missing = new NotFound({ what: "payout", id: params.id })
          if (payout === undefined) return yield* missing
          if (!(yield* may("payout.read", { territoryPath: [], ownerId: payout.principalId })).allowed)
            return yield* missing
          return viewOf(payout)
        })
      )
    )
    .handle("settlePayout", ({ params, payload }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("payout.settle")
          const payout = yield* loadPayout(params.id, true)
          if (payout === undefined) return yield* new NotFound({ what: "payout", id: params.id })
          if (["requested", "approved", "reserved"].includes(payout.state) && payload.outcome === "failed") {
            yield* refusePayout(payout, payload.reason)
            return viewOf((yield* loadPayout(payout.id))!)
          }
          if (payout.state !== "unknown" && payout.state !== "manual") {
            const message = `The payout is ${payout.state}; by hand only unknown and manual ones are settled, and what was not sent yet as failed.`
            return yield* new Refused({ code: "not-open", message })
          }
          if (payload.outcome === "succeeded" && payload.reference === undefined) {
            return yield* new InvalidInput({
              issues: [{ pointer: "/reference", detail: "A payment that succeeded has a reference." }]
            })
          }
          yield* settlePayout(
            payout.id,
            payload.outcome === "succeeded"
              ? { state: "succeeded", reference: payload.reference! }
              : { state: "failed", code: "by-hand", message: payload.reason }
          )
          return viewOf((yield* loadPayout(payout.id))!)
        })
      )
    )
    .handle("retryPayout", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("payout.settle")
          const payout = yield* loadPayout(params.id, true)
          if (payout === undefined) return yield* new NotFound({ what: "payout", id: params.id })
          const again = Effect.gen(function* () {
            return { status: 201, body: viewOf((yield* loadPayout(yield* retryPayout(payout)))!) }
          })
          return (yield* once(`payouts/${payout.id}/retry`, {}, again)).body
        })
      )
    )
    .handle("accounts", () =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("account.read")
          const { sql, tenantId } = yield* TenantTx
          const rows = yield* sql<{
            id: string
            kind: string
            name: string
            currency: string
            balance: bigint
            reserved: bigint
          }>`
            select id, kind, name, currency, balance, reserved from mahalla.account where tenant_id = ${tenantId} order by kind, name`
          return {
            items: rows.map((row) => ({ ...row, balance: String(row.balance), reserved: String(row.reserved) }))
          }
        })
      )
    )
    .handle("fundBudget", ({ payload, request }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("account.fund")
          // Money must not arrive twice because an answer was lost.
          if (request.headers["idempotency-key"] === undefined) {
            return yield* new InvalidInput({
              issues: [{ pointer: "#headers/idempotency-key", detail: "Moving money needs an Idempotency-Key." }]
            })
          }
          const fund = Effect.as(fundBudget({ amount: BigInt(payload.amount), memo: payload.memo }), {
            status: 204,
            body: null
          })
          yield* once("accounts/budget/funds", payload, fund)
        })
      )
    )
)

export const payoutsApiLayer = HttpApiBuilder.layer(PayoutsApi).pipe(Layer.provide(handlers))
