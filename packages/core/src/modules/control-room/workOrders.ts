/** `work-order`: what a crew does at an asset, planned, dispatched, done; what was done enters the asset's maintenance log. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import {
  defineCaseType,
  type FieldSchema,
  type ObjectSchema,
  type TransitionContext
} from "../../kernel/cases/CaseType.ts"
import { createCase, type CreateCase } from "../../kernel/cases/create.ts"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { visibleCase } from "../../kernel/cases/visible.ts"
import { assignCase } from "../../kernel/cases/assignment.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { defineEvent } from "../../kernel/events/Event.ts"
import { newId } from "../../kernel/ids.ts"
import { demand, demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { loadCase } from "../../kernel/cases/record.ts"
import { type WorkKind, workKinds } from "./model.ts"

/** An asset's maintenance log has a new line. */
export const MaintenanceLogged = defineEvent({
  id: "maintenance-log.added",
  payload: Schema.Struct({
    entryId: Schema.String,
    assetId: Schema.String,
    kind: Schema.String,
    workOrderId: Schema.String
  })
})

const staff = { visibility: "staff" } as const
const plannedFrom: FieldSchema = { type: "string", format: "date-time", title: "Planned from", ...staff }
const plannedUntil: FieldSchema = { type: "string", format: "date-time", title: "Planned until", ...staff }
const crew: FieldSchema = { type: "string", title: "Crew", maxLength: 200, ...staff }
const parts: FieldSchema = {
  type: "array",
  title: "Parts",
  maxItems: 100,
  items: {
    type: "object",
    properties: {
      name: { type: "string", title: "Part", minLength: 1, maxLength: 200, ...staff },
      quantity: { type: "number", title: "How many", minimum: 0, maximum: 1_000_000, ...staff },
      unit: { type: "string", title: "Unit, UCUM", maxLength: 20, ...staff }
    },
    required: ["name", "quantity"],
    ...staff
  },
  ...staff
}
const cost: FieldSchema = {
  type: "integer",
  title: "Cost",
  description: "Minor units of the tenant's currency",
  minimum: 0,
  maximum: 1_000_000_000_000_000,
  ...staff
}
const done: FieldSchema = { type: "string", title: "What was done", minLength: 3, maxLength: 4000, ...staff }
const reason: FieldSchema = { type: "string", title: "Why not", minLength: 3, maxLength: 2000, ...staff }

const plan: ObjectSchema = { properties: { plannedFrom, plannedUntil, crew, parts } }

type Span = { readonly plannedFrom?: string; readonly plannedUntil?: string }

const inOrder = Effect.fnUntraced(function* (context: TransitionContext<Span>) {
  const { plannedFrom: from, plannedUntil: until } = { ...(context.case.data as Span), ...context.input }
  if (from === undefined || until === undefined || Date.parse(from) < Date.parse(until)) return
  const pointer = `${context.transition === "created" ? "/data" : ""}/plannedUntil`
  return yield* new InvalidInput({ issues: [{ pointer, detail: "The work must end after it begins." }] })
})

interface Finish {
  readonly done: string
  readonly cost?: number
  readonly parts?: ReadonlyArray<unknown>
}

const log = Effect.fnUntraced(function* ({ case: order, input }: TransitionContext<Finish>) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const id = yield* newId
  const at = new Date(yield* Clock.currentTimeMillis)
  const {
    assetId,
    kind,
    parts: planned = []
  } = order.data as unknown as {
    readonly assetId: string
    readonly kind: WorkKind
    readonly parts?: ReadonlyArray<unknown>
  }
  yield* sql`
    insert into mahalla.maintenance_log (tenant_id, id, asset_id, done_at, done_by, kind, what, parts, work_order_id, cost)
    values (${tenantId}, ${id}, ${assetId}, ${at}, ${order.assigneeId ?? actor.id}, ${kind}, ${input.done},
            ${JSON.stringify(input.parts ?? planned)}::text::jsonb, ${order.id}, ${input.cost ?? null})`
  yield* appendEvent(
    MaintenanceLogged,
    { entryId: id, assetId, kind, workOrderId: order.id },
    { caseId: order.id, actorId: actor.id }
  )
})

export const workOrderType = defineCaseType({
  definition: {
    id: "work-order",
    version: 1,
    title: { en: "Work order", uz: "Ish buyurtmasi", ru: "Наряд", ka: "სამუშაო განკარგულება" },
    data: {
      properties: {
        title: { type: "string", title: "What is to be done", minLength: 3, maxLength: 500, ...staff },
        kind: { type: "string", title: "Kind", enum: workKinds, ...staff },
        assetId: { type: "string", format: "uuid", title: "Asset", ...staff },
        ...plan.properties,
        done,
        cost,
        reason
      },
      required: ["title", "kind", "assetId"]
    },
    place: "optional",
    placeVisibility: "staff",
    anonymous: false,
    public: false,
    attachments: { min: 0, max: 20 },
    creatable: true,
    // Citizens may create cases of any type; this one is staff's.
    guards: ["staff", "inOrder"],
    initial: "planned",
    states: {
      planned: { title: { en: "planned", uz: "rejalashtirilgan", ru: "запланирован", ka: "დაგეგმილი" }, phase: "open" },
      dispatched: { title: { en: "dispatched", uz: "yuborilgan", ru: "выдан", ka: "გაგზავნილი" }, phase: "open" },
      "in-progress": {
        title: { en: "in progress", uz: "bajarilmoqda", ru: "в работе", ka: "მიმდინარე" },
        phase: "open"
      },
      done: { title: { en: "done", uz: "bajarilgan", ru: "выполнен", ka: "შესრულებული" }, phase: "fixed" },
      cancelled: { title: { en: "cancelled", uz: "bekor qilingan", ru: "отменён", ka: "გაუქმებული" }, phase: "closed" }
    },
    transitions: {
      plan: {
        title: { en: "Plan anew", uz: "Qayta rejalash", ru: "Перепланировать", ka: "გადაგეგმვა" },
        from: ["planned", "dispatched"],
        to: ["planned"],
        input: plan,
        sets: ["plannedFrom", "plannedUntil", "crew", "parts"],
        guards: ["inOrder"]
      },
      dispatch: {
        title: { en: "Dispatch", uz: "Yuborish", ru: "Выдать", ka: "გაგზავნა" },
        from: ["planned"],
        to: ["dispatched"],
        input: { properties: { crew } },
        sets: ["crew"]
      },
      start: {
        title: { en: "Start", uz: "Boshlash", ru: "Начать", ka: "დაწყება" },
        from: ["dispatched"],
        to: ["in-progress"]
      },
      finish: {
        title: { en: "Done", uz: "Bajarildi", ru: "Выполнено", ka: "შესრულდა" },
        from: ["in-progress"],
        to: ["done"],
        input: { properties: { done, cost, parts }, required: ["done"] },
        sets: ["done", "cost", "parts"],
        apply: "log"
      },
      cancel: {
        title: { en: "Cancel", uz: "Bekor qilish", ru: "Отменить", ka: "გაუქმება" },
        from: ["planned", "dispatched", "in-progress"],
        to: ["cancelled"],
        input: { properties: { reason }, required: ["reason"] },
        sets: ["reason"]
      }
    },
    search: ["title", "crew"]
  },
  guards: { staff: ({ case: order }) => demand("work-order.plan", order), inOrder },
  applies: { log }
})

export interface NewWorkOrder extends Pick<CreateCase, "data" | "place"> {
  /** The alert or incident that it comes from; it is part of that, and where it is. */
  readonly parentId?: string | undefined
  readonly assigneeId?: string | undefined
}

/** Plans a work order; needs `work-order.plan` there, and to see what it comes from. */
export const createWorkOrder = Effect.fn("control-room.createWorkOrder")(function* (given: NewWorkOrder) {
  const { assigneeId, data, parentId } = given
  let { place } = given
  if (parentId !== undefined) {
    const { record } = yield* visibleCase(parentId)
    if (record.type !== "alert" && record.type !== "incident") {
      const detail = "A work order comes from an alert or an incident."
      return yield* new InvalidInput({ issues: [{ pointer: "/parentId", detail }] })
    }
    place ??= record.place ?? undefined
  }
  const { id } = yield* createCase({ type: "work-order", data, place, parentId })
  if (assigneeId !== undefined) yield* assignCase({ caseId: id, assigneeId })
  return yield* loadCase(id)
})

export interface LogEntry {
  readonly id: string
  readonly at: Date
  readonly by: string | null
  readonly kind: WorkKind
  readonly what: string
  readonly parts: ReadonlyArray<unknown>
  readonly workOrderId: string | null
  /** Minor units; null: nobody said. */
  readonly cost: bigint | null
}

/** What was done to an asset, the newest first; needs `maintenance-log.read`. Index `maintenance_log_asset`. */
export const maintenanceLogOf = Effect.fn("control-room.maintenanceLogOf")(function* (
  assetId: string,
  page: { readonly cursor?: string | undefined; readonly limit?: number | undefined }
) {
  const { sql, tenantId } = yield* TenantTx
  yield* demandEverywhere("maintenance-log.read")
  const limit = page.limit ?? 50
  const rows = yield* sql<LogEntry>`
    select id, done_at as at, done_by as by, kind, what, parts, work_order_id as "workOrderId", cost from mahalla.maintenance_log
    where tenant_id = ${tenantId} and asset_id = ${assetId}
      and (${page.cursor ?? null}::uuid is null or id < ${page.cursor ?? null}::uuid)
    order by id desc limit ${limit + 1}`
  const items = rows.slice(0, limit)
  return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.id } : {}) }
})
