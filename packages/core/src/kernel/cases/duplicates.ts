/** Cases nearby that may tell of the same matter: asked before one is sent, and by staff who merge them. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { canonical } from "../canonical.ts"
import { TenantTx } from "../db/Database.ts"
import type { CaseTypeDefinition, Visibility } from "./CaseType.ts"
import { boxAround, coveringRanges, distanceBetween } from "./geo.ts"
import type { Place } from "./model.ts"
import { caseColumns, type CaseRow, recordOf } from "./record.ts"
import { CaseTypes } from "./registry.ts"
import { audienceOf, type CaseView, fieldVisibility, isVisible, placeVisibility, sees, viewOf } from "./view.ts"

export interface Suggestion {
  readonly case: CaseView
  /** Metres between the places. */
  readonly distance: number
  /** Seconds between what happened. */
  readonly seconds: number
}

const most = 20

const momentOf = (
  definition: CaseTypeDefinition,
  data: Readonly<Record<string, unknown>>,
  otherwise: number
): number => {
  const field = definition.duplicates?.at
  const given = field === undefined ? undefined : data[field]
  const moment = typeof given === "string" ? Date.parse(given) : Number.NaN
  return Number.isNaN(moment) ? otherwise : moment
}

const present = (value: unknown) => value !== undefined && value !== null

/** A suggestion tells that place and fields agree: only to those who see them. */
const seesWhatAgrees = (
  definition: CaseTypeDefinition,
  data: Readonly<Record<string, unknown>>,
  audience: Visibility
): boolean =>
  sees(audience, placeVisibility(definition)) &&
  (definition.duplicates?.same ?? []).every(
    (field) => !present(data[field]) || sees(audience, fieldVisibility(definition, field))
  )

/**
 * Up to 20 cases of a type that the actor may know of, that are near in place and time and agree in the fields the definition names,
 * nearest first. Merged duplicates are left out: their original is there. Empty where the type has no `duplicates`. Index `case_by_place`.
 */
export const findDuplicates = Effect.fn("findDuplicates")(function* (draft: {
  readonly type: string
  readonly place: Place
  readonly data: Readonly<Record<string, unknown>>
  /** When the draft is a stored case. */
  readonly exceptId?: string | undefined
  /** Of a stored case, epoch milliseconds. Default: now. */
  readonly createdAt?: number | undefined
}) {
  const { sql, tenantId } = yield* TenantTx
  const { definition } = yield* (yield* CaseTypes).get(draft.type)
  const { duplicates } = definition
  if (duplicates === undefined) return []
  const moment = momentOf(definition, draft.data, draft.createdAt ?? (yield* Clock.currentTimeMillis))
  const box = boxAround(draft.place, duplicates.within)
  const cells = coveringRanges(box).map(([from, to]) => sql`c.h3 between ${from} and ${to}`)
  // A case is made after what it tells of, and its id tells when it was made.
  const since = new Date(Math.max(0, moment - duplicates.during * 1000))
  const rows = yield* sql<CaseRow>`
    select ${sql.literal(caseColumns)} from mahalla.civic_case c
    left join mahalla.territory t on t.tenant_id = c.tenant_id and t.id = c.territory_id
    where c.tenant_id = ${tenantId} and ${sql.or(cells)} and c.id >= mahalla.uuid_floor(${since})
      and c.latitude between ${box.south} and ${box.north}
      and c.type = ${draft.type} and c.id is distinct from ${draft.exceptId ?? null}::uuid
      and not exists (
        select from mahalla.case_link l where l.tenant_id = c.tenant_id and l.from_id = c.id and l.kind = 'duplicate-of')
    order by c.id desc limit 500`
  const near = rows
    .map(recordOf)
    .map((record) => ({
      record,
      distance: distanceBetween(draft.place, record.place!),
      seconds: Math.abs(momentOf(definition, record.data, record.createdAt.getTime()) - moment) / 1000
    }))
    .filter(
      ({ distance, record, seconds }) =>
        distance <= duplicates.within &&
        seconds <= duplicates.during &&
        (duplicates.same ?? []).every((field) => {
          const [one, other] = [draft.data[field], record.data[field]]
          return !present(one) || !present(other) || canonical(one) === canonical(other)
        })
    )
    .sort((a, b) => a.distance - b.distance || a.seconds - b.seconds)
  const found: Array<Suggestion> = []
  for (const { distance, record, seconds } of near) {
    if (found.length === most) break
    if (!(yield* isVisible(record, definition))) continue
    const audience = yield* audienceOf(record)
    if (!seesWhatAgrees(definition, draft.data, audience)) continue
    found.push({
      case: viewOf(record, definition, audience),
      distance: Math.round(distance),
      seconds: Math.round(seconds)
    })
  }
  return found
})
