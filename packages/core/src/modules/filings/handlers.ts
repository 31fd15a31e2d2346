/** What stands behind the doors of filings. */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Attachments } from "../../kernel/attachments/Attachments.ts"
import { InvalidInput, NotFound } from "../../kernel/cases/model.ts"
import { withTenant } from "../../kernel/db/Database.ts"
import { answering, inTenant } from "../../kernel/http/Door.ts"
import { once } from "../../kernel/http/once.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { tenantSettings } from "../../kernel/tenancy/settings.ts"
import { FilingsApi } from "./api.ts"
import { askSoon } from "./ask.ts"
import { settleByHand } from "./book.ts"
import { openEvidence, revokeEvidence } from "./evidence.ts"
import { retryFiling } from "./file.ts"
import { FilingAuthorities } from "./FilingAuthorities.ts"
import type { FilingRow } from "./model.ts"
import { countFilings, listFilings, loadFiling } from "./sql.ts"

const viewOf = (filing: FilingRow) => ({
  id: filing.id,
  caseId: filing.caseId,
  kind: filing.kind,
  attempt: filing.attempt,
  authority: filing.authority,
  state: filing.state,
  verdict: filing.verdict,
  currency: filing.currency,
  reference: filing.reference,
  byHand: filing.byHand,
  detail: filing.detail,
  fine: filing.fine === null ? null : String(filing.fine),
  decidedAt: filing.decidedAt?.toISOString() ?? null,
  nextAt: filing.nextAt?.toISOString() ?? null,
  createdAt: filing.createdAt.toISOString(),
  changedAt: filing.changedAt.toISOString()
})

const found = Effect.fnUntraced(function* (id: string, lock = false) {
  return (yield* loadFiling(id, lock)) ?? (yield* new NotFound({ what: "filing", id }))
})

const authorities = Effect.gen(function* () {
  yield* demandEverywhere("filing.read")
  const { all, circuit } = yield* FilingAuthorities
  const counts = yield* countFilings
  const names = [...new Set([...all.keys(), ...counts.map(({ authority }) => authority)])]
  return yield* Effect.forEach(
    names,
    Effect.fnUntraced(function* (id) {
      const own = counts.filter(({ authority }) => authority === id)
      return {
        id,
        kinds: all.get(id)?.kinds ?? [],
        circuit: (yield* circuit(id)).state,
        filings: Object.fromEntries(own.map(({ amount, state }) => [state, amount])),
        waitingSince: own.find(({ state }) => state === "queued")?.oldest.toISOString() ?? null
      }
    })
  )
})

export const filingsHandlers = HttpApiBuilder.group(FilingsApi, "filings", (group) =>
  group
    .handle("listFilings", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("filing.read")
          const limit = query.limit ?? 50
          const rows = yield* listFilings({
            state: query.state ?? null,
            authority: query.authority ?? null,
            caseId: query.case ?? null,
            cursor: query.cursor ?? null,
            limit: limit + 1
          })
          const items = rows.slice(0, limit).map(viewOf)
          return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.id } : {}) }
        })
      )
    )
    .handle("getFiling", ({ params }) =>
      inTenant(Effect.andThen(demandEverywhere("filing.read"), Effect.map(found(params.id), viewOf)))
    )
    .handle("inquireFiling", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("filing.settle")
          yield* found(params.id)
          yield* askSoon(params.id)
          return viewOf(yield* found(params.id))
        })
      )
    )
    .handle("retryFiling", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("filing.settle")
          const filing = yield* found(params.id, true)
          const again = Effect.gen(function* () {
            return { status: 201, body: viewOf(yield* found(yield* retryFiling(filing))) }
          })
          return (yield* once(`filings/${filing.id}/retry`, {}, again)).body
        })
      )
    )
    .handle("settleFiling", ({ params, payload: { fine, ...given } }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("filing.settle")
          const filing = yield* found(params.id, true)
          if (fine !== undefined && given.verdict === "dismissed")
            return yield* new InvalidInput({
              issues: [{ pointer: "/fine", detail: "What was dismissed has no fine; leave it out." }]
            })
          const { currency } = yield* tenantSettings
          yield* settleByHand(filing, {
            ...given,
            ...(fine === undefined ? {} : { fine: { amount: BigInt(fine), currency } })
          })
          return viewOf(yield* found(params.id))
        })
      )
    )
    .handle("revokeEvidence", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("filing.settle")
          yield* revokeEvidence(yield* found(params.id, true), (yield* Actor).id)
        })
      )
    )
    .handle("filingEvidence", ({ params, query, request }) =>
      answering(
        Effect.gen(function* () {
          const link = { filingId: params.id, attachmentId: params.attachment, ...query }
          yield* withTenant((yield* Actor).tenantId)(openEvidence(link))
          const download = yield* (yield* Attachments).open(params.attachment, request.headers["range"])
          return HttpServerResponse.stream(download.stream, {
            status: download.status,
            // Nobody between keeps what the address shows for a while only.
            headers: { ...download.headers, "cache-control": "private, no-store" }
          }) as never
        })
      )
    )
    .handle("listAuthorities", () => inTenant(Effect.map(authorities, (items) => ({ items }))))
)
