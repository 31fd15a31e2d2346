/** One reader of live readings: what they want and may see, batch by batch, from a place on. They pull; who is slow skips and is told so. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Ids, Place } from "../../../kernel/live/EventFilter.ts"
import type { LiveReader } from "../../../kernel/live/LiveRights.ts"
import { Id } from "../../../kernel/ids.ts"
import { territoriesOf } from "../../../kernel/policy/decide.ts"
import { Forbidden, Policy } from "../../../kernel/policy/Policy.ts"
import type { Principal } from "../../../kernel/policy/Principal.ts"
import { DatastreamKey } from "../profile.ts"
import type { LiveBatch, LiveDevice } from "./LiveBatch.ts"
import { LiveReadings } from "./LiveReadings.ts"

const some = <S extends Schema.Constraint>(item: S, most: number) =>
  Schema.Array(item).check(Schema.isMinLength(1), Schema.isMaxLength(most))

/** Of several kinds of filter all must hold, of several values one. */
export const ReadingFilter = Schema.Struct({
  devices: Schema.optionalKey(Ids),
  groups: Schema.optionalKey(some(Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,59}$/)), 100)),
  /** A territory with all below it. */
  territory: Schema.optionalKey(Id),
  keys: Schema.optionalKey(some(DatastreamKey, 100)),
  /** Number of the batch after which to go on. Default: now. */
  after: Schema.optionalKey(Place)
})
export type ReadingFilter = typeof ReadingFilter.Type

export type ReadingStep =
  /** `json`: readings as objects, joined by commas; the batch's own text where all of it is the reader's. */
  | { readonly kind: "batch"; readonly batch: LiveBatch; readonly json: string }
  /** The batches after `after` and up to `to` are skipped; `since` is the earliest event time in them, where they are still kept. */
  | { readonly kind: "gap"; readonly after: number; readonly to: number; readonly since: string | null }
  /** Nothing for them until this batch, for a while. */
  | { readonly kind: "quiet"; readonly number: number }

/** Milliseconds after which a reader hears that nothing came, and after which their rights are looked at without anything that came. */
const quietAfter = 15_000
const lookAfter = "2 seconds"

const makeSelect = ({ devices, groups, keys, territory }: ReadingFilter) => {
  const [ids, names, wanted] = [new Set(devices), new Set(groups), new Set(keys)]
  const isWanted = ({ id, place }: LiveDevice) =>
    (devices === undefined || ids.has(id)) &&
    (groups === undefined || place.groups.some((group) => names.has(group))) &&
    (territory === undefined || place.territoryPath.includes(territory))
  return (batch: LiveBatch, seen: "all" | ReadonlySet<string>): string => {
    const found = batch.devices.filter(
      (device) => isWanted(device) && (seen === "all" || device.place.territoryPath.some((id) => seen.has(id)))
    )
    if (keys === undefined)
      return found.length === batch.devices.length ? batch.json : found.map(({ json }) => json).join(",")
    return found
      .flatMap(({ readings }) => readings.flatMap(({ json, key }) => (wanted.has(key) ? [json] : [])))
      .join(",")
  }
}

const refused = new Forbidden({
  permission: "reading.read",
  because: "no-permission",
  message: "This needs the permission reading.read; ask an administrator for a role that has it."
})

/** Where somebody may see readings; fails with `Forbidden` where that is nowhere. */
export const readableTerritories = Effect.fnUntraced(function* (who: Principal) {
  const policy = yield* Policy
  const found = territoriesOf(who.roles ?? policy.roles, who, "reading.read", yield* Clock.currentTimeMillis)
  if (found !== "all" && found.length === 0) return yield* refused
  return found === "all" ? found : new Set(found)
})

/** Begins to read. Fails with `Forbidden` where the reader may see no readings at all, at the beginning or later. */
export const readingReader = Effect.fn("telemetry.readingReader")(function* (
  tenantId: string,
  filter: ReadingFilter,
  reader: LiveReader
) {
  const live = yield* LiveReadings
  const policy = yield* Policy
  const select = makeSelect(filter)
  let who: Principal | undefined
  let seen: "all" | ReadonlySet<string> = new Set()

  const look = Effect.gen(function* () {
    const now = yield* reader.current
    if (now === who) return
    seen = yield* Effect.provideService(readableTerritories(now), Policy, policy)
    who = now
  })
  yield* look
  const source = yield* live.watch(tenantId)

  const { after } = filter
  let position = after === undefined ? source.head() : Number(after)
  /** From before what is in memory; whoever was here and fell behind does not go back. */
  let resuming = after !== undefined
  let past: Array<LiveBatch> = []
  let toldAt = yield* Clock.currentTimeMillis

  const skip = Effect.fnUntraced(function* (to: number) {
    const since = yield* live.earliest(tenantId, position, to)
    const gap = {
      kind: "gap",
      after: position,
      to,
      since: since === null ? null : new Date(since).toISOString()
    } satisfies ReadingStep
    position = to
    return gap
  })

  /** The next batch there is for a place, or what else is to be said; undefined where the reader must wait. */
  const following: Effect.Effect<LiveBatch | ReadingStep | undefined, unknown> = Effect.gen(function* () {
    const here = past.shift() ?? source.next(position)
    if (here !== undefined) {
      resuming &&= source.next(position) === undefined
      return here
    }
    if (position > source.head()) yield* live.refresh(source)
    // A place that no batch has: the order of another time, as after a restore.
    if (position > source.head()) return yield* skip(source.head())
    if (position >= source.reached()) {
      resuming = false
      return undefined
    }
    if (!resuming) return yield* skip(source.reached())
    const found = yield* live.history(tenantId, position)
    const first = found[0]
    if (first === undefined) return yield* skip(source.reached())
    past = [...found]
    return first.number === position + 1 ? past.shift()! : yield* skip(first.number - 1)
  })

  const next: Effect.Effect<ReadingStep, unknown> = Effect.gen(function* () {
    while (true) {
      yield* look
      const grown = source.grown()
      const found = yield* following
      const now = yield* Clock.currentTimeMillis
      if (found !== undefined && "kind" in found) {
        toldAt = now
        return found
      }
      if (found !== undefined) {
        position = found.number
        const json = select(found, seen)
        if (json !== "") {
          toldAt = now
          return { kind: "batch", batch: found, json } as const
        }
      } else if (now - toldAt < quietAfter) yield* Effect.timeoutOption(grown, lookAfter)
      if (now - toldAt >= quietAfter) {
        toldAt = now
        return { kind: "quiet", number: position } as const
      }
    }
  })
  return { next, place: () => position }
})
