/**
 * Whose a case is among staff. An assignment lasts and counts as a change of the case: it raises the version. A claim is a short
 * exclusive hold while somebody decides; it runs out by itself and raises nothing, so that it breaks no editor's If-Match.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { TenantTx } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { defineEvent } from "../events/Event.ts"
import { demand } from "../policy/Policy.ts"
import { Actor } from "../policy/Principal.ts"
import { type CaseRecord, InvalidInput, Refused, VersionConflict } from "./model.ts"
import { subjectOf } from "./view.ts"
import { visibleCase } from "./visible.ts"

/** Somebody else has claimed the case. */
export class Claimed extends Data.TaggedError("Claimed")<{ readonly by: string; readonly until: Date }> {
  override get message() {
    return `Somebody else is deciding this case until ${this.until.toISOString()}. Wait until then, or ask them to release it.`
  }
}

const about = { type: Schema.String, reference: Schema.String }

export const CaseAssigned = defineEvent({
  id: "case.assigned",
  payload: Schema.Struct({
    ...about,
    /** Null: taken away. */
    assigneeId: Schema.NullOr(Schema.String),
    previousId: Schema.NullOr(Schema.String),
    version: Schema.Int
  })
})
export const CaseClaimed = defineEvent({
  id: "case.claimed",
  payload: Schema.Struct({ ...about, until: Schema.String })
})
export const ClaimReleased = defineEvent({ id: "case.claim-released", payload: Schema.Struct(about) })

const aboutOf = ({ reference, type }: CaseRecord) => ({ type, reference })

/** Gives a case to somebody, or to nobody with null; needs `<type>.assign`. The assignee must be an active principal of the tenant. */
export const assignCase = Effect.fn("assignCase")(function* (request: {
  readonly caseId: string
  readonly assigneeId: string | null
  /** From `If-Match`. */
  readonly ifVersion?: number | undefined
}) {
  const { assigneeId, ifVersion } = request
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const { record } = yield* visibleCase(request.caseId, { lock: true })
  yield* demand(`${record.type}.assign`, subjectOf(record))
  if (ifVersion !== undefined && ifVersion !== record.version) {
    return yield* new VersionConflict({ expected: ifVersion, found: record.version })
  }
  if (record.assigneeId === assigneeId) return record
  if (assigneeId !== null) {
    const [person] = yield* sql`
      select from mahalla.principal where tenant_id = ${tenantId} and id = ${assigneeId} and status = 'active'`
    if (person === undefined) {
      const detail = "There is no active principal of this id. Choose one of the tenant's staff."
      return yield* new InvalidInput({ issues: [{ pointer: "/assigneeId", detail }] })
    }
  }
  const version = record.version + 1
  const updatedAt = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    update mahalla.civic_case set assignee_id = ${assigneeId}, version = ${version}, updated_at = ${updatedAt}
    where tenant_id = ${tenantId} and id = ${record.id}`
  yield* appendEvent(
    CaseAssigned,
    { ...aboutOf(record), assigneeId, previousId: record.assigneeId, version },
    { caseId: record.id, actorId: actor.id }
  )
  return { ...record, assigneeId, version, updatedAt } satisfies CaseRecord
})

/** Fails with `Claimed` while somebody else than the actor holds the case; the engine itself waits for nobody. */
export const demandNoForeignClaim = Effect.fnUntraced(function* (record: CaseRecord) {
  const actor = yield* Actor
  const now = yield* Clock.currentTimeMillis
  const { claimedBy, claimedUntil } = record
  // The owner may always withdraw or appeal: a claim keeps colleagues from deciding at the same time.
  if (
    actor.kind === "system" ||
    claimedBy === null ||
    claimedBy === actor.id ||
    (actor.id !== null && actor.id === record.ownerId)
  )
    return
  if (claimedUntil !== null && claimedUntil.getTime() > now)
    return yield* new Claimed({ by: claimedBy, until: claimedUntil })
})

const claimable = Effect.fnUntraced(function* (caseId: string) {
  const { id: actorId } = yield* Actor
  const { record } = yield* visibleCase(caseId, { lock: true })
  yield* demand(`${record.type}.claim`, subjectOf(record))
  if (actorId === null)
    return yield* new Refused({ code: "no-principal", message: "Only somebody with an account can claim a case." })
  yield* demandNoForeignClaim(record)
  const now = yield* Clock.currentTimeMillis
  const live = record.claimedBy === actorId && record.claimedUntil !== null && record.claimedUntil.getTime() > now
  return { record, actorId, now, live }
})

const hold = Effect.fnUntraced(function* (record: CaseRecord, by: string | null, until: Date | null) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    update mahalla.civic_case set claimed_by = ${by}, claimed_until = ${until} where tenant_id = ${tenantId} and id = ${record.id}`
  return { ...record, claimedBy: by, claimedUntil: until } satisfies CaseRecord
})

const claimMinutes = 15
const after = (now: number, minutes: number) => new Date(now + Math.min(Math.max(minutes, 1), 8 * 60) * 60_000)

/** Claims a case for 1 to 480 minutes, default 15; needs `<type>.claim`. `Claimed` while it is somebody else's; one's own is prolonged. */
export const claimCase = Effect.fn("claimCase")(function* (caseId: string, minutes: number = claimMinutes) {
  const { actorId, live, now, record } = yield* claimable(caseId)
  const until = after(now, minutes)
  const held = yield* hold(record, actorId, until)
  if (!live) {
    const payload = { ...aboutOf(record), until: until.toISOString() }
    yield* appendEvent(CaseClaimed, payload, { caseId, actorId })
  }
  return held
})

/** Prolongs one's own claim; `Refused` with code `no-claim` once it has run out, for somebody may have changed the case since. */
export const renewClaim = Effect.fn("renewClaim")(function* (caseId: string, minutes: number = claimMinutes) {
  const { actorId, live, now, record } = yield* claimable(caseId)
  if (!live)
    return yield* new Refused({
      code: "no-claim",
      message: "Your claim has run out. Read the case again and claim it anew."
    })
  return yield* hold(record, actorId, after(now, minutes))
})

/** Gives one's own claim back; nothing happens when there is none. */
export const releaseClaim = Effect.fn("releaseClaim")(function* (caseId: string) {
  const actor = yield* Actor
  const { record } = yield* visibleCase(caseId, { lock: true })
  if (actor.id === null || record.claimedBy !== actor.id) return record
  yield* appendEvent(ClaimReleased, aboutOf(record), { caseId, actorId: actor.id })
  return yield* hold(record, null, null)
})
