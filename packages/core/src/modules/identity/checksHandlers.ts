/** What stands behind the doors for being confirmed. */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { type FieldIssue, InvalidInput, NotFound } from "../../kernel/cases/model.ts"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { answering, inTenant, RequestInfo } from "../../kernel/http/Door.ts"
import { once } from "../../kernel/http/once.ts"
import { takeFrom } from "../../kernel/limits/gcra.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { IdentityRegisters } from "../../kernel/ports.ts"
import { claimMistakes, type Claims, normalNumber } from "../../ports/IdentityCheck.ts"
import { me } from "./account.ts"
import { IdentityApi } from "./api.ts"
import {
  checkLimits,
  checksOf,
  checkView,
  claimsColumn,
  numberIndex,
  revokeConfirmations,
  startCheck,
  verifiedOf,
  verifiedView
} from "./checks.ts"
import { consentText, consentVersion } from "./checksTexts.ts"
import { inLanguage } from "./texts.ts"

interface Asked {
  readonly register: string
  readonly number: string
  readonly birthDate?: string
  readonly name?: string
  readonly consent: string
}

/** The claims in their normal form; `InvalidInput` with every field that is not as the register needs it. */
const claimsIn = Effect.fnUntraced(function* (asked: Asked) {
  const { birthDate, name } = asked
  const claims: Claims = {
    number: normalNumber(asked.number),
    ...(birthDate === undefined ? {} : { birthDate }),
    ...(name === undefined ? {} : { name: name.normalize("NFC").trim().replaceAll(/\s+/g, " ") })
  }
  const register = (yield* IdentityRegisters).get(asked.register)
  const issues: Array<FieldIssue> =
    register === undefined
      ? [{ pointer: "/register", detail: "There is no such register. GET /v1/me/identity-checks lists them." }]
      : claimMistakes(claims, register).map(({ claim, detail }) => ({ pointer: `/${claim}`, detail }))
  if (asked.consent !== consentVersion)
    issues.push({ pointer: "/consent", detail: "Show the register's text as it is now, and send its version back." })
  return issues.length === 0 ? claims : yield* new InvalidInput({ issues })
})

const tooMany = "Too many questions about who you are. Ask again tomorrow."
const day = 86_400

export const checksHandlers = HttpApiBuilder.group(IdentityApi, "identityChecks", (group) =>
  group
    .handle("identityChecks", () =>
      inTenant(
        Effect.gen(function* () {
          const { id } = yield* me
          const { tenant } = yield* RequestInfo
          const { sql, tenantId } = yield* TenantTx
          const [person] = yield* sql<{ language: string }>`
            select language from mahalla.principal where tenant_id = ${tenantId} and id = ${id}`
          const language = person?.language ?? "en"
          const found = yield* verifiedOf(id)
          return {
            verified: found === undefined ? null : verifiedView(found),
            registers: [...(yield* IdentityRegisters)].map(([register, about]) => ({
              id: register,
              title: inLanguage(about.title, language),
              numberTitle: inLanguage(about.numberTitle, language),
              numberPattern: about.numberPattern,
              needs: about.needs,
              text: consentText(tenant.name, about, language),
              consent: consentVersion
            })),
            items: (yield* checksOf(id, 20)).map(checkView)
          }
        })
      )
    )
    .handle("startIdentityCheck", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { id: principalId, tenantId } = yield* me
          const { consent, register } = payload
          const claims = yield* claimsIn(payload)
          const inside = withTenant(tenantId)
          yield* takeFrom(tenantId, {
            key: `identity-check:${principalId}`,
            amount: checkLimits.perAccount,
            window: day,
            message: tooMany
          })
          const [number, all] = yield* inside(
            Effect.all([numberIndex(register, claims.number), claimsColumn.index(JSON.stringify(claims))])
          )
          yield* takeFrom(tenantId, {
            key: `identity-number:${number}`,
            amount: checkLimits.perNumber,
            window: day,
            message: tooMany,
            quiet: true
          })
          const make = Effect.map(startCheck({ principalId, register, claims, consent }), (row) => ({
            status: 202,
            body: checkView(row)
          }))
          // What is kept to compare a repeated request with must not tell the number to whoever tries them all.
          return (yield* inside(once("me/identity-checks", { register, consent, claims: all }, make))).body
        })
      )
    )
    .handle("revokeConfirmations", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("identity-check.revoke")
          const { id: actorId } = yield* Actor
          const { sql, tenantId } = yield* TenantTx
          const known = yield* sql`select from mahalla.principal where tenant_id = ${tenantId} and id = ${params.id}`
          if (known.length === 0) return yield* new NotFound({ what: "principal", id: params.id })
          return { revoked: yield* revokeConfirmations(params.id, actorId) }
        })
      )
    )
)
