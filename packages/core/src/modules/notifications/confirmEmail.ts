/** Asking at a mailbox whether its owner wants the city's news there. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { defineJob, JobFailure } from "../../kernel/jobs/Job.ts"
import { Messengers } from "../../kernel/ports.ts"
import { addressColumn } from "./addresses.ts"
import { cityFacts } from "./city.ts"
import { chainOf } from "./format.ts"
import { linkTo } from "./links.ts"
import { rendered } from "./plan.ts"
import { wordsOfTemplate } from "./templates.ts"

export const confirmEmail = defineJob({
  topic: "notifications.confirm-email",
  payload: Schema.Struct({ addressId: Schema.String }),
  timeout: 60_000,
  run: ({ addressId }, job) =>
    Effect.gen(function* () {
      const asked = yield* withTenant(job.tenantId)(
        Effect.gen(function* () {
          const { sql, tenantId } = yield* TenantTx
          const [row] = yield* sql<{ address_sealed: string; language: string }>`
            select a.address_sealed, p.language from mahalla.notification_address a
            join mahalla.principal p on p.tenant_id = a.tenant_id and p.id = a.principal_id and p.status = 'active'
            where a.tenant_id = ${tenantId} and a.id = ${addressId} and a.verified_at is null`
          if (row === undefined) return undefined
          const city = yield* cityFacts
          const words = yield* wordsOfTemplate("email-confirm")
          return { city, words, language: row.language, to: yield* addressColumn.open(addressId, row.address_sealed) }
        })
      )
      const messenger = [...(yield* Messengers).values()].find((one) => one.channel === "email")
      if (asked === undefined || messenger === undefined) return
      const { city, language, to, words } = asked
      const link = yield* linkTo(city.tenant, { kind: "confirm-email", addressId })
      if (link === undefined)
        return yield* new JobFailure({
          message: "A mailbox cannot be confirmed without an address of the city. Set publicUrl.",
          permanent: true
        })
      const chain = chainOf(language, city.language)
      const {
        language: written,
        subject,
        text
      } = rendered({ words, values: () => ({ city: city.name, link }) }, "email", chain)
      yield* messenger.send({
        ...{ id: job.id, tenantId: job.tenantId, to, text, language: written, class: "notice", link },
        ...(subject === null ? {} : { subject })
      })
    })
})
