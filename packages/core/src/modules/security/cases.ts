/**
 * `security-alert`: something that staff should look at. What is wrong and whether somebody has seen it are two things, as in ISA-18.2: an
 * alert may be cleared before anybody acknowledged it, and is closed when both have happened.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type ApplyResult, defineCaseType, type TransitionContext } from "../../kernel/cases/CaseType.ts"
import type { CaseRecord } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { holdersOf } from "../../kernel/policy/holders.ts"

/** Everybody who may acknowledge it in the whole tenant hears of it. */
const tellStaff = Effect.fnUntraced(function* (alert: CaseRecord) {
  const { sql, tenantId } = yield* TenantTx
  const hearers = yield* holdersOf("security-alert.acknowledge")
  const at = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    insert into mahalla.case_subscriber (tenant_id, case_id, principal_id, created_at)
    select ${tenantId}, ${alert.id}, id, ${at} from unnest(${hearers}::uuid[]) as hearer (id)
    on conflict do nothing`
})

const cleared = Effect.fnUntraced(function* ({
  case: alert
}: TransitionContext): Effect.fn.Return<ApplyResult, unknown, TenantTx> {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ times: number; lastAt: Date }>`
    delete from mahalla.security_alert where tenant_id = ${tenantId} and case_id = ${alert.id}
    returning times, last_at as "lastAt"`
  return {
    to: alert.state === "acknowledged" ? "closed" : "cleared",
    ...(row === undefined ? {} : { data: { times: row.times, lastAt: row.lastAt.toISOString() } })
  }
})

export const securityAlert = defineCaseType({
  definition: {
    id: "security-alert",
    version: 1,
    title: {
      en: "Security alert",
      uz: "Xavfsizlik ogohlantirishi",
      ru: "Предупреждение безопасности",
      ka: "უსაფრთხოების გაფრთხილება"
    },
    data: {
      properties: {
        kind: { type: "string", title: "Kind", visibility: "staff" },
        severity: {
          type: "string",
          title: "Severity",
          enum: ["low", "medium", "high", "critical"],
          visibility: "staff"
        },
        summary: { type: "string", title: "What happened", maxLength: 500, visibility: "staff" },
        originator: {
          type: "string",
          title: "Whom it is about",
          maxLength: 200,
          visibility: "staff",
          // An address, perhaps: it stays out of the log.
          personal: true
        },
        times: { type: "integer", title: "How often, when it was cleared", visibility: "staff" },
        lastAt: {
          type: "string",
          format: "date-time",
          title: "When it last happened, when it was cleared",
          visibility: "staff"
        }
      },
      required: ["kind", "severity", "summary", "originator"]
    },
    place: "none",
    anonymous: false,
    public: false,
    attachments: { min: 0, max: 0 },
    creatable: false,
    initial: "raised",
    states: {
      raised: { title: { en: "raised", uz: "ochilgan", ru: "поднято", ka: "აღძრული" }, phase: "open" },
      acknowledged: { title: { en: "acknowledged", uz: "ko‘rilgan", ru: "принято", ka: "მიღებული" }, phase: "open" },
      cleared: {
        title: { en: "cleared, not acknowledged", uz: "tugagan, ko‘rilmagan", ru: "снято, не принято", ka: "მოხსნილი" },
        phase: "open"
      },
      closed: { title: { en: "closed", uz: "yopilgan", ru: "закрыто", ka: "დახურული" }, phase: "closed" }
    },
    transitions: {
      acknowledge: {
        title: { en: "Acknowledge", uz: "Ko‘rdim", ru: "Принять", ka: "მიღება" },
        from: ["raised", "cleared"],
        to: ["acknowledged", "closed"],
        apply: "acknowledge"
      },
      clear: {
        title: { en: "Clear", uz: "Tugatish", ru: "Снять", ka: "მოხსნა" },
        from: ["raised", "acknowledged"],
        to: ["cleared", "closed"],
        apply: "clear"
      }
    },
    search: ["kind", "summary"]
  },
  applies: {
    acknowledge: ({ case: alert }) => Effect.succeed({ to: alert.state === "cleared" ? "closed" : "acknowledged" }),
    clear: cleared
  },
  created: tellStaff
})
