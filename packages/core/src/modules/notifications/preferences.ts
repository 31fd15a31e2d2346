/** What people have chosen: channels by category, hours of quiet, digests, where they live. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type FieldIssue, InvalidInput, VersionConflict } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { clockOf, minutesOf } from "../../kernel/deadlines/calendar.ts"
import { cityFacts } from "./city.ts"
import type { Choices } from "./listeners.ts"
import { nextDigest } from "./quiet.ts"

export interface GivenPreferences {
  /** BCP 47. Default: as it is. */
  readonly language?: string
  readonly quiet: "tenant" | "own" | "none"
  /** `HH:MM`, only of own hours. */
  readonly quietFrom?: string | null
  readonly quietUntil?: string | null
  readonly digest: "immediately" | "daily" | "weekly"
  readonly digestHour: number
  readonly digestDay: number
  readonly territoryId?: string | null
  readonly categories: Choices
}

export interface Preferences extends Required<GivenPreferences> {
  /** 0: nothing was ever chosen. */
  readonly version: number
}

interface PreferenceRow extends Omit<Preferences, "quietFrom" | "quietUntil"> {
  readonly quietFrom: number | null
  readonly quietUntil: number | null
}

const clock = (minutes: number | null) => (minutes === null ? null : clockOf(minutes))

/** Somebody's choices; without any, what holds then. */
export const preferencesOf = Effect.fn("notifications.preferencesOf")(function* (personId: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<PreferenceRow>`
    select coalesce(f.version, 0) as version, p.language, coalesce(f.quiet, 'tenant') as quiet, f.quiet_from as "quietFrom",
      f.quiet_until as "quietUntil", coalesce(f.digest, 'immediately') as digest, coalesce(f.digest_hour, 18)::int as "digestHour",
      coalesce(f.digest_day, 5)::int as "digestDay", f.territory_id as "territoryId", coalesce(f.categories, '{}') as categories
    from mahalla.principal p
    left join mahalla.notification_preference f on f.tenant_id = p.tenant_id and f.principal_id = p.id
    where p.tenant_id = ${tenantId} and p.id = ${personId}`
  return { ...row!, quietFrom: clock(row!.quietFrom), quietUntil: clock(row!.quietUntil) } satisfies Preferences
})

const check = Effect.fnUntraced(function* ({ quiet, quietFrom, quietUntil, territoryId }: GivenPreferences) {
  const { sql, tenantId } = yield* TenantTx
  const issues: Array<FieldIssue> = []
  if (quiet === "own" && (quietFrom == null || quietUntil == null))
    issues.push({ pointer: "/quietFrom", detail: "Own quiet hours have a beginning and an end." })
  if (territoryId != null) {
    const found = yield* sql`select from mahalla.territory where tenant_id = ${tenantId} and id = ${territoryId}`
    if (found.length === 0) issues.push({ pointer: "/territoryId", detail: "There is no such territory." })
  }
  if (issues.length > 0) return yield* new InvalidInput({ issues })
})

/** News that waits goes with the next digest of the new hour; at once where there are to be none. */
const moveDigest = Effect.fnUntraced(function* (personId: string, given: GivenPreferences) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const { timeZone } = yield* cityFacts
  const { digest, digestDay: day, digestHour: hour } = given
  const due = digest === "immediately" ? now : nextDigest(now, { digest, day, hour }, timeZone)
  yield* sql`
    update mahalla.digest_due set due_at = ${new Date(due)} where tenant_id = ${tenantId} and principal_id = ${personId}`
})

/** Puts other choices in the place of somebody's. */
export const putPreferences = Effect.fn("notifications.putPreferences")(function* (
  personId: string,
  given: GivenPreferences,
  ifVersion?: number
) {
  const { sql, tenantId } = yield* TenantTx
  yield* check(given)
  const { version: found } = yield* preferencesOf(personId)
  if (ifVersion !== undefined && ifVersion !== found)
    return yield* new VersionConflict({ what: "choice", expected: ifVersion, found })
  const { categories, digest, digestDay, digestHour, quiet, quietFrom, quietUntil, territoryId = null } = given
  const own = quiet === "own"
  const [from, until] = [own ? minutesOf(quietFrom!) : null, own ? minutesOf(quietUntil!) : null]
  const at = new Date(yield* Clock.currentTimeMillis)
  const made = yield* sql`
    insert into mahalla.notification_preference as known (tenant_id, principal_id, version, quiet, quiet_from, quiet_until, digest, digest_hour,
      digest_day, territory_id, categories, changed_at)
    values (${tenantId}, ${personId}, ${found + 1}, ${quiet}, ${from}::smallint, ${until}::smallint, ${digest}, ${digestHour}, ${digestDay}, ${territoryId}::uuid,
      ${JSON.stringify(categories)}::text::jsonb, ${at})
    on conflict (tenant_id, principal_id) do update set version = excluded.version, quiet = excluded.quiet, quiet_from = excluded.quiet_from,
      quiet_until = excluded.quiet_until, digest = excluded.digest, digest_hour = excluded.digest_hour, digest_day = excluded.digest_day,
      territory_id = excluded.territory_id, categories = excluded.categories, changed_at = excluded.changed_at
      where known.version = ${found}
    returning version`
  if (made.length === 0) return yield* new VersionConflict({ what: "choice", expected: found, found: found + 1 })
  if (given.language !== undefined)
    yield* sql`update mahalla.principal set language = ${given.language} where tenant_id = ${tenantId} and id = ${personId}`
  yield* moveDigest(personId, given)
  return yield* preferencesOf(personId)
})

/** No messages of a category any more, on no channel; everything else stays. Gives whether there is such a person. */
export const switchOff = Effect.fn("notifications.switchOff")(function* (personId: string, category: string) {
  const { sql, tenantId } = yield* TenantTx
  const at = new Date(yield* Clock.currentTimeMillis)
  const off = JSON.stringify({ [category]: { channels: [] } })
  const made = yield* sql`
    insert into mahalla.notification_preference as known (tenant_id, principal_id, version, categories, changed_at)
    select tenant_id, id, 1, ${off}::text::jsonb, ${at}::timestamptz from mahalla.principal
    where tenant_id = ${tenantId} and id = ${personId} and status <> 'erased'
    on conflict (tenant_id, principal_id) do update
      set version = known.version + 1, categories = known.categories || excluded.categories, changed_at = excluded.changed_at
    returning version`
  return made.length > 0
})
