/** Lists of cases: what the actor may see, filtered, newest first, by cursor. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Fragment } from "effect/sql/Statement"
import { TenantTx } from "../db/Database.ts"
import { isId } from "../ids.ts"
import { territoriesOf } from "../policy/decide.ts"
import { rolesFor } from "../policy/Policy.ts"
import { Actor } from "../policy/Principal.ts"
import { type BoundingBox, coveringRanges } from "./geo.ts"
import { InvalidInput } from "./model.ts"
import { caseColumns, type CaseRow, recordOf } from "./record.ts"
import { CaseTypes } from "./registry.ts"
import type { CaseTypeDefinition } from "./CaseType.ts"
import { fieldVisibility, placeVisibility } from "./view.ts"

export interface CaseFilter {
  readonly type?: ReadonlyArray<string> | undefined
  readonly state?: ReadonlyArray<string> | undefined
  readonly phase?: "open" | "closed" | "fixed" | undefined
  /** This territory and everything below it. */
  readonly territory?: string | undefined
  readonly bbox?: BoundingBox | undefined
  /** Words, as in a web search. */
  readonly q?: string | undefined
  readonly owner?: "me" | undefined
  readonly assignee?: string | undefined
  readonly parent?: string | undefined
  readonly createdAfter?: Date | undefined
  readonly createdBefore?: Date | undefined
}

export interface PageRequest {
  readonly cursor?: string | undefined
  /** 1–200, default 50. */
  readonly limit?: number | undefined
}

/** Whether the filter asks for what the public does not see: being found, or not, would tell it. */
const asksForHidden = (definition: CaseTypeDefinition, filter: CaseFilter) =>
  (filter.bbox !== undefined && placeVisibility(definition) !== "public") ||
  (filter.q !== undefined && (definition.search ?? []).some((field) => fieldVisibility(definition, field) !== "public"))

/** A part of what the actor may see: `where` finds it, `territories` (and all below them) bound it. */
interface VisiblePart {
  readonly where: Fragment
  readonly territories?: ReadonlyArray<string>
}

/** Which rows the actor may see at all, type by type. */
const visibleParts = Effect.fnUntraced(function* (filter: CaseFilter) {
  const actor = yield* Actor
  const roles = yield* rolesFor(actor)
  const { sql } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const wanted = (yield* CaseTypes).all
    .map(({ definition }) => definition)
    .filter(({ id }) => filter.type === undefined || filter.type.includes(id))
  const everything: Array<string> = []
  const parts: Array<VisiblePart> = []
  for (const definition of wanted) {
    const open = definition.public && !asksForHidden(definition, filter)
    const territories = open ? "all" : territoriesOf(roles, actor, `${definition.id}.read`, now)
    if (territories === "all") everything.push(definition.id)
    else if (territories.length > 0) parts.push({ where: sql`c.type = ${definition.id}`, territories })
  }
  if (everything.length > 0)
    parts.push({
      where: everything.length === 1 ? sql`c.type = ${everything[0]!}` : sql`c.type = any (${everything})`
    })
  // Their own, where those are not among the others anyway.
  if (actor.id === null) return parts
  const owned: Array<string> = []
  for (const { id } of wanted) {
    if (everything.includes(id)) continue
    const territories = territoriesOf(roles, actor, `${id}.read`, now, true)
    if (territories === "all") owned.push(id)
    else if (territories.length > 0)
      parts.push({ where: sql`(c.owner_id = ${actor.id} and c.type = ${id})`, territories })
  }
  if (owned.length > 0) parts.push({ where: sql`(c.owner_id = ${actor.id} and c.type = any (${owned}))` })
  return parts
})

/** A box of a district's size, about 15 km square: its cases are fewer than those with a common word, and are read for it. */
const isNarrow = ({ east, north, south, west }: BoundingBox) =>
  (north - south) * (east >= west ? east - west : east - west + 360) < 0.02

/** How many cases with the words are looked at, from turn to turn: most that have them pass the other filters too. */
const searchTurns = [1, 10, 40, 40] as const

/**
 * A page of cases with the cursor of the next one. While there is a cursor there may be more: a search whose other filters drop nearly
 * everything gives a short page rather than a slow one.
 */
export const listCases = Effect.fn("listCases")(function* (filter: CaseFilter, page: PageRequest) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const limit = Math.min(Math.max(page.limit ?? 50, 1), 200)
  if (page.cursor !== undefined && !isId(page.cursor)) {
    return yield* new InvalidInput({
      issues: [{ pointer: "/cursor", detail: "This is not a cursor of this list; begin without one." }]
    })
  }
  const visible = yield* visibleParts(filter)
  const where: Array<Fragment> = [sql`c.tenant_id = ${tenantId}`]
  if (filter.type !== undefined)
    where.push(filter.type.length === 1 ? sql`c.type = ${filter.type[0]!}` : sql`c.type = any (${filter.type})`)
  if (filter.state !== undefined)
    where.push(filter.state.length === 1 ? sql`c.state = ${filter.state[0]!}` : sql`c.state = any (${filter.state})`)
  if (filter.phase !== undefined) where.push(sql`c.phase = ${filter.phase}`)
  if (filter.territory !== undefined)
    where.push(
      sql`c.territory_id in (select id from mahalla.territory where tenant_id = ${tenantId} and ${filter.territory} = any (path))`
    )
  if (filter.owner === "me") where.push(actor.id === null ? sql`false` : sql`c.owner_id = ${actor.id}`)
  if (filter.assignee !== undefined) where.push(sql`c.assignee_id = ${filter.assignee}`)
  if (filter.parent !== undefined)
    where.push(
      sql`c.id in (select from_id from mahalla.case_link where tenant_id = ${tenantId} and to_id = ${filter.parent} and kind = 'parent')`
    )
  if (filter.createdAfter !== undefined) where.push(sql`c.created_at >= ${filter.createdAfter}`)
  if (filter.createdBefore !== undefined) where.push(sql`c.created_at < ${filter.createdBefore}`)
  if (filter.bbox !== undefined) {
    const { east, north, south, west } = filter.bbox
    const ranges = coveringRanges(filter.bbox)
    const cells = ranges.map(([from, to]) => sql`c.h3 between ${from} and ${to}`)
    where.push(cells.length === 0 ? sql`false` : sql.or(cells), sql`c.latitude between ${south} and ${north}`)
    where.push(
      west <= east
        ? sql`c.longitude between ${west} and ${east}`
        : sql`(c.longitude >= ${west} or c.longitude <= ${east})`
    )
  }
  const columns = sql`
    select ${sql.literal(caseColumns)} from mahalla.civic_case c
    left join mahalla.territory t on t.tenant_id = c.tenant_id and t.id = c.territory_id`
  const newest = sql`order by c.id desc limit ${limit + 1}`
  /** Those among a few. */
  const select = (these: Fragment) => {
    const seen = visible.map(({ territories, where: part }) =>
      territories === undefined ? part : sql`(${part} and t.path && ${territories}::uuid[])`
    )
    return sql<CaseRow>`${columns} where ${sql.and([...where, seen.length === 0 ? sql`false` : sql.or(seen), these])} ${newest}`
  }
  /** Those among all: each part, and each territory in it, gives its newest by an index of its own, and the newest of these are it. */
  const selectNewest = (these: Fragment) => {
    const [only] = visible
    if (only === undefined) return Effect.succeed<ReadonlyArray<CaseRow>>([])
    if (visible.length === 1 && only.territories === undefined) return select(these)
    const parts = visible.map(({ territories, where: part }) => {
      const found = (and: Fragment) =>
        sql`(select c.id from mahalla.civic_case c where ${sql.and([...where, part, these, and])} ${newest})`
      return territories === undefined
        ? found(sql`true`)
        : sql`(select found.id from mahalla.territory a cross join lateral ${found(sql`c.territory_id = a.id`)} found
               where a.tenant_id = ${tenantId} and a.path && ${territories}::uuid[])`
    })
    const [first, ...others] = parts
    const ids = others.reduce((all, part) => sql`${all} union ${part}`, first!)
    return sql<CaseRow>`
      with found as materialized (select id from (${ids}) candidates order by id desc limit ${limit + 1})
      ${columns} where c.tenant_id = ${tenantId} and c.id in (select id from found) order by c.id desc`
  }
  const pageOf = (rows: ReadonlyArray<CaseRow>, searchedTo?: string) => {
    const items = rows.slice(0, limit).map(recordOf)
    const cursor = rows.length > limit ? items.at(-1)!.id : searchedTo
    return { items, ...(cursor === undefined ? {} : { cursor }) }
  }
  let { q } = filter
  if (q !== undefined && filter.bbox !== undefined && isNarrow(filter.bbox)) {
    where.push(sql`c.search @@ websearch_to_tsquery('simple', ${q})`)
    q = undefined
  }
  if (q === undefined)
    return pageOf(yield* selectNewest(page.cursor === undefined ? sql`true` : sql`c.id < ${page.cursor}`))
  const rows: Array<CaseRow> = []
  let searchedTo = page.cursor
  for (const turn of searchTurns) {
    const amount = turn * (limit + 1)
    const hits = yield* sql<{ id: string }>`
      select mahalla.search_cases(${tenantId}, ${q}, ${searchedTo ?? null}, ${filter.type ?? null}, ${amount}) as id`
    if (hits.length > 0) rows.push(...(yield* select(sql`c.id = any (${hits.map(({ id }) => id)}::uuid[])`)))
    if (hits.length < amount) return pageOf(rows)
    searchedTo = hits.at(-1)!.id
    if (rows.length > limit) break
  }
  return pageOf(rows, searchedTo)
})
