/** Words of the reports module: offences and findings. */
import * as Schema from "effect/Schema"
import { defineEvent } from "../../kernel/events/Event.ts"

export interface Offence {
  readonly code: string
  readonly article: string
  readonly title: Readonly<Record<string, string>>
  /** Minor units of the tenant's currency. */
  readonly fine: bigint
  /** Ten-thousandths of the fine. */
  readonly rewardShare: number
  readonly active: boolean
}

export const OffenceView = Schema.Struct({
  code: Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9-]{0,59}$/)),
  article: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(100)),
  title: Schema.Record(Schema.String, Schema.String),
  fine: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000_000_000 })).annotate({
    description: "Minor units of the city's currency"
  }),
  rewardShare: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10_000 })).annotate({
    description: "Ten-thousandths of the fine"
  }),
  active: Schema.Boolean
}).annotate({ identifier: "Offence" })

export interface FindingRow {
  readonly id: string
  readonly case_id: string
  readonly attachment_id: string
  readonly frame_id: string | null
  readonly kind: string
  readonly at: number | null
  readonly box: { readonly x: number; readonly y: number; readonly width: number; readonly height: number }
  readonly text: string | null
  readonly country: string | null
  readonly format: string | null
  readonly confidence: number
  readonly certain: boolean
  readonly model: string
}

export const OffenceChanged = defineEvent({
  id: "reports.offence-changed",
  payload: Schema.Struct({
    code: Schema.String,
    fine: Schema.Number,
    rewardShare: Schema.Number,
    active: Schema.Boolean
  })
})
