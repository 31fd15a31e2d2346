/** Lists as CSV (RFC 4180), streamed page by page; one more outlet behind the same filter of fields. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { type CaseFilter, listCases } from "../../kernel/cases/list.ts"
import { CaseTypes } from "../../kernel/cases/registry.ts"
import { audienceOf, viewOf } from "../../kernel/cases/view.ts"
import { type Database, withTenant } from "../../kernel/db/Database.ts"
import type { Policy } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import type { Erased } from "../../kernel/Erased.ts"

/** A field; formulas are defused, since spreadsheets run what begins with = + - @. */
const cell = (value: unknown): string => {
  const text =
    value === undefined || value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value)
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

const fixed = [
  "id",
  "type",
  "reference",
  "state",
  "phase",
  "createdAt",
  "updatedAt",
  "territoryId",
  "longitude",
  "latitude",
  "assigneeId"
] as const

/** All cases of the filter that the actor may see; each page is read in a transaction of its own. */
export const csvOf = Effect.fnUntraced(function* (filter: CaseFilter) {
  const actor = yield* Actor
  const types = (yield* CaseTypes).all.filter(
    (type) => filter.type === undefined || filter.type.includes(type.definition.id)
  )
  const fields = [...new Set(types.flatMap((type) => Object.keys(type.definition.data.properties)))]
  const services = yield* Effect.context<Database | Policy | CaseTypes | Actor>()
  const line = (values: ReadonlyArray<unknown>) => `${values.map(cell).join(",")}\r\n`
  const pageAt = (cursor: string | undefined) =>
    withTenant(actor.tenantId)(
      Effect.gen(function* () {
        const found = yield* listCases(filter, { cursor, limit: 200 })
        const lines = yield* Effect.forEach(found.items, (record) =>
          Effect.gen(function* () {
            const definition = types.find((type) => type.definition.id === record.type)!.definition
            const view = viewOf(record, definition, yield* audienceOf(record)) as Record<string, Erased>
            const flat: Record<string, unknown> = {
              ...view,
              longitude: view["place"]?.longitude,
              latitude: view["place"]?.latitude
            }
            return line([...fixed.map((name) => flat[name]), ...fields.map((name) => view["data"]?.[name])])
          })
        )
        return { text: lines.join(""), cursor: found.cursor }
      })
    )
  const rows = Stream.paginate(undefined as string | undefined, (cursor) =>
    Effect.map(pageAt(cursor), (page) => [[page.text], Option.fromUndefinedOr(page.cursor)] as const)
  )
  const body = Stream.make(line([...fixed, ...fields.map((name) => `data.${name}`)])).pipe(
    Stream.concat(rows),
    Stream.tapCause((cause) => Effect.logError("An export broke off", cause)),
    Stream.encodeText
  )
  return HttpServerResponse.stream(Stream.provideContext(body, services), {
    contentType: "text/csv; charset=utf-8",
    headers: { "content-disposition": 'attachment; filename="cases.csv"' }
  })
})
