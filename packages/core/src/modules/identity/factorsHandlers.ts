/** What stands behind the doors for second factors. */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { NotFound } from "../../kernel/cases/model.ts"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { answering, inTenant, RequestInfo } from "../../kernel/http/Door.ts"
import { problem, registerProblems } from "../../kernel/http/problems.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { IdentityApi } from "./api.ts"
import {
  confirmTotp,
  demandProof,
  readFactors,
  removeTotp,
  renewRecoveryCodes,
  resetFactors,
  showFactor
} from "./factors.ts"
import { beginTotp } from "./totp.ts"
import { labelOf, signedIn } from "./visit.ts"

registerProblems({ ProofTooOld: (error) => problem(403, "proof-too-old", error.message) })

export const factorsHandlers = HttpApiBuilder.group(IdentityApi, "factors", (group) =>
  group
    .handle("showFactor", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { tenantId, ...self } = yield* signedIn
          yield* showFactor(tenantId, self, payload.code)
          return { secondFactor: "passed" as const }
        })
      )
    )
    .handle("factors", () =>
      inTenant(
        Effect.gen(function* () {
          const { principalId } = yield* signedIn
          const { codes, passkeys, totp } = yield* readFactors(principalId)
          return { totp: totp?.toISOString() ?? null, recoveryCodes: codes, passkeys }
        })
      )
    )
    .handle("beginTotp", () =>
      inTenant(
        Effect.gen(function* () {
          const self = yield* signedIn
          const { tenant } = yield* RequestInfo
          yield* demandProof(self)
          return yield* beginTotp(self.principalId, tenant.name, yield* labelOf(self.principalId))
        })
      )
    )
    .handle("confirmTotp", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { tenantId, ...self } = yield* signedIn
          return { recoveryCodes: yield* confirmTotp(tenantId, self, payload.code) }
        })
      )
    )
    .handle("removeTotp", () => inTenant(Effect.flatMap(signedIn, removeTotp)))
    .handle("renewRecoveryCodes", () =>
      answering(
        Effect.gen(function* () {
          const { tenantId, ...self } = yield* signedIn
          return { recoveryCodes: yield* renewRecoveryCodes(tenantId, self) }
        })
      )
    )
    .handle("resetFactors", ({ params }) =>
      answering(
        Effect.gen(function* () {
          yield* demandEverywhere("factor.reset")
          const actor = yield* Actor
          const reset = Effect.gen(function* () {
            const { sql, tenantId } = yield* TenantTx
            const known = yield* sql`select from mahalla.principal where tenant_id = ${tenantId} and id = ${params.id}`
            if (known.length === 0) return yield* new NotFound({ what: "principal", id: params.id })
            yield* resetFactors(params.id, actor.id)
          })
          yield* withTenant(actor.tenantId)(reset)
        })
      )
    )
)
