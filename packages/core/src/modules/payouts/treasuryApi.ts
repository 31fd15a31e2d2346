/** Doors of the treasurer: approvals, statements, corrections, and what rails' registers say otherwise. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { InvalidInput, NotFound } from "../../kernel/cases/model.ts"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { Door, inTenant } from "../../kernel/http/Door.ts"
import { GivenDay, GivenMoment } from "../../kernel/http/moments.ts"
import { needsIdempotencyKey, once } from "../../kernel/http/once.ts"
import { Id } from "../../kernel/ids.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { PaymentRails } from "../../kernel/ports.ts"
import { approve } from "./approvals.ts"
import { listDifferences, listReconciliations, resolveDifference } from "./differences.ts"
import type { AccountKind } from "./model.ts"
import { proceed } from "./rewards.ts"
import { loadPayout } from "./sql.ts"
import { correctLedger, statementOf } from "./statements.ts"
import { Amount, PayoutView, viewOf } from "./view.ts"

const Moment = Schema.String.annotate({ format: "date-time", description: "RFC 3339, UTC" })
const Reason = Schema.String.check(Schema.isMinLength(3), Schema.isMaxLength(500))
const Limit = Schema.optionalKey(
  Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 200 }))
)
const kinds = [
  "funding",
  "budget",
  "liability",
  "clearing",
  "fees",
  "suspense"
] as const satisfies ReadonlyArray<AccountKind>
const AccountName = Schema.Struct({
  kind: Schema.Literals(kinds),
  /** Of `clearing` and `fees` the rail. Default: none. */
  name: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200)))
})

const StatementView = Schema.Struct({
  account: Schema.Struct({ id: Id, kind: Schema.String, name: Schema.String, currency: Schema.String }),
  /** Balance before the first entry, minor units. */
  opening: Schema.String,
  items: Schema.Array(
    Schema.Struct({
      id: Id,
      at: Moment,
      kind: Schema.String,
      memo: Schema.String,
      other: Schema.String,
      payoutId: Schema.NullOr(Id),
      amount: Schema.String,
      reserved: Schema.String,
      balance: Schema.String
    })
  ),
  cursor: Schema.optionalKey(Id)
}).annotate({ identifier: "AccountStatement" })

const ReconciliationView = Schema.Struct({
  rail: Schema.String,
  day: Schema.String,
  runAt: Moment,
  lines: Schema.Int,
  amount: Schema.String,
  payouts: Schema.Int,
  booked: Schema.String,
  /** Why the register could not be compared. */
  trouble: Schema.NullOr(Schema.String),
  open: Schema.Int
}).annotate({ identifier: "Reconciliation" })

const DifferenceView = Schema.Struct({
  id: Id,
  rail: Schema.String,
  day: Schema.String,
  kind: Schema.String,
  subject: Schema.String,
  payoutId: Schema.NullOr(Id),
  ours: Schema.String,
  theirs: Schema.String,
  createdAt: Moment,
  resolvedAt: Schema.NullOr(Moment),
  resolvedBy: Schema.NullOr(Id),
  resolution: Schema.NullOr(Schema.String)
}).annotate({ identifier: "ReconciliationDifference" })

export const TreasuryApi = cityApi("treasury")
  .add(
    HttpApiGroup.make("treasury")
      .add(HttpApiEndpoint.post("approvePayout", "/payouts/:id/approval", { params: { id: Id }, success: PayoutView }))
      .add(
        HttpApiEndpoint.get("accountStatement", "/accounts/:id/statement", {
          params: { id: Id },
          query: { from: GivenMoment, to: GivenMoment, cursor: Schema.optionalKey(Id), limit: Limit },
          success: StatementView
        })
      )
      .add(
        HttpApiEndpoint.post("correctLedger", "/accounts/corrections", {
          payload: Schema.Struct({ debit: AccountName, credit: AccountName, amount: Amount, memo: Reason }),
          success: Schema.Struct({ id: Id }).pipe(HttpApiSchema.status(201))
        }).annotate(OpenApi.Transform, needsIdempotencyKey)
      )
      .add(
        HttpApiEndpoint.get("listReconciliations", "/reconciliations", {
          query: { rail: Schema.optionalKey(Schema.String), before: Schema.optionalKey(GivenDay) },
          success: Schema.Struct({ items: Schema.Array(ReconciliationView) })
        })
      )
      .add(
        HttpApiEndpoint.post("reconcile", "/reconciliations", {
          payload: Schema.Struct({ rail: Schema.String, day: GivenDay }),
          success: HttpApiSchema.Empty(202)
        })
      )
      .add(
        HttpApiEndpoint.get("listDifferences", "/reconciliation-differences", {
          query: {
            open: Schema.optionalKey(Schema.Literals(["true", "false"])),
            rail: Schema.optionalKey(Schema.String),
            cursor: Schema.optionalKey(Id),
            limit: Limit
          },
          success: Schema.Struct({ items: Schema.Array(DifferenceView), cursor: Schema.optionalKey(Id) })
        })
      )
      .add(
        HttpApiEndpoint.post("resolveDifference", "/reconciliation-differences/:id/resolution", {
          params: { id: Id },
          payload: Schema.Struct({ reason: Reason }),
          success: HttpApiSchema.NoContent
        })
      )
      .middleware(Door)
  )
  .prefix("/v1")

const handlers = HttpApiBuilder.group(TreasuryApi, "treasury", (group) =>
  group
    .handle("approvePayout", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("payout.approve")
          const payout = yield* loadPayout(params.id, true)
          if (payout === undefined) return yield* new NotFound({ what: "payout", id: params.id })
          yield* proceed(yield* approve(payout))
          return viewOf((yield* loadPayout(payout.id))!)
        })
      )
    )
    .handle("accountStatement", ({ params, query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("account.read")
          const { cursor, from, limit = 100, to } = query
          const statement = yield* statementOf(params.id, { from: new Date(from), to: new Date(to), cursor, limit })
          const { currency, id, kind, name } = statement.account
          const items = statement.items.map(({ amount, at, balance, reserved, ...entry }) => ({
            ...entry,
            at: at.toISOString(),
            amount: String(amount),
            reserved: String(reserved),
            balance: String(balance)
          }))
          return {
            account: { id, kind, name, currency },
            opening: String(statement.opening),
            items,
            ...(statement.more ? { cursor: items.at(-1)!.id } : {})
          }
        })
      )
    )
    .handle("correctLedger", ({ payload, request }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("account.correct")
          // Money must not move twice because an answer was lost.
          if (request.headers["idempotency-key"] === undefined)
            return yield* new InvalidInput({
              issues: [{ pointer: "#headers/idempotency-key", detail: "Moving money needs an Idempotency-Key." }]
            })
          const { amount, ...correction } = payload
          const correct = Effect.map(correctLedger({ ...correction, amount: BigInt(amount) }), (id) => ({
            status: 201,
            body: { id }
          }))
          return (yield* once("accounts/corrections", payload, correct)).body
        })
      )
    )
    .handle("listReconciliations", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("payout.settle")
          const rows = yield* listReconciliations(query.rail ?? null, query.before ?? null)
          return {
            items: rows.map((row) => ({
              ...row,
              runAt: row.runAt.toISOString(),
              amount: String(row.amount),
              booked: String(row.booked)
            }))
          }
        })
      )
    )
    .handle("reconcile", ({ payload }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("payout.settle")
          if (!(yield* PaymentRails).has(payload.rail))
            return yield* new InvalidInput({ issues: [{ pointer: "/rail", detail: "There is no such rail here." }] })
          const { tenantId } = yield* Actor
          yield* enqueue([
            { topic: "payouts.reconcile", body: payload, uniqueKey: `${tenantId} ${payload.rail} ${payload.day}` }
          ])
        })
      )
    )
    .handle("listDifferences", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("payout.settle")
          const limit = query.limit ?? 100
          const rows = yield* listDifferences({
            open: query.open !== "false",
            rail: query.rail ?? null,
            cursor: query.cursor ?? null,
            limit: limit + 1
          })
          const items = rows.slice(0, limit).map(({ createdAt, resolvedAt, ...row }) => ({
            ...row,
            createdAt: createdAt.toISOString(),
            resolvedAt: resolvedAt === null ? null : resolvedAt.toISOString()
          }))
          return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.id } : {}) }
        })
      )
    )
    .handle("resolveDifference", ({ params, payload }) =>
      inTenant(Effect.andThen(demandEverywhere("payout.settle"), resolveDifference(params.id, payload.reason)))
    )
)

export const treasuryApiLayer = HttpApiBuilder.layer(TreasuryApi).pipe(Layer.provide(handlers))
