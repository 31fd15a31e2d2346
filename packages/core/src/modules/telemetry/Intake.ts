/**
 * Takes messages in: reads them, stores what they hold and hands what is new to the followers, tenant by tenant. Whoever is told `stored` can forget
 * the message.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { SqlError } from "effect/sql/SqlError"
import { type Database, withTenant } from "../../kernel/db/Database.ts"
import { forgetTenants, tenantBySlug } from "../../kernel/tenancy/resolve.ts"
import { DeviceIngestError, type IngestMessage, type IngestOutcome } from "../../ports/DeviceIngest.ts"
import type { Checked } from "./check.ts"
import { storeCommandNews } from "./commands.ts"
import { downlinksOf, newsOf, storeDownlinks } from "./downlinks.ts"
import { type DecodeAll, type DecodedMessages, type EdgeNodes } from "./decodeAll.ts"
import { ensurePartition, ensureReadingPartitions } from "./partitions.ts"
import { deviceNameOf } from "./rawMessages.ts"
import { namesOf, readMessages, type Read, unknownOf } from "./read.ts"
import { emptyRegistry, loadByName, refreshRegistry, type Registry } from "./registry.ts"
import {
  isPoisoned,
  isStale,
  isUnparted,
  storeDead,
  storeNodes,
  storeRaw,
  storeReadings,
  storeStatuses,
  withoutKept
} from "./store.ts"

/** A batch that was committed a moment ago. */
export interface Fresh {
  readonly tenantId: string
  readonly number: number
  readonly receivedAt: number
  /** In the order of arrival; undefined where some were there before: then the database knows which are new. */
  readonly readings: ReadonlyArray<Checked> | undefined
}

export class Intake extends Context.Service<
  Intake,
  {
    /** As `IngestHost.receive`. */
    readonly receive: (
      messages: ReadonlyArray<IngestMessage>
    ) => Effect.Effect<ReadonlyArray<IngestOutcome>, DeviceIngestError>
    /**
     * The same for messages that are kept already: no second copy, no second dead letter. What they said of devices and edge nodes was true then;
     * only their readings count. `nodes`: edge nodes as they were before these messages, brought forward by them; default, nothing is known.
     */
    readonly replay: (
      messages: ReadonlyArray<IngestMessage>,
      nodes?: EdgeNodes
    ) => Effect.Effect<ReadonlyArray<IngestOutcome>, DeviceIngestError>
  }
>()("@mahalla/telemetry/Intake") {}

/** What a committed batch asks of edge nodes. */
export interface Told {
  readonly tenantId: string
  readonly asks: DecodedMessages["asks"]
}

/** Messages in one transaction. */
export const maxBatch = 2000

export interface IntakeOptions {
  readonly decode: DecodeAll
  /** Told after the commit. */
  readonly told: (news: Told) => void
  /** Must not wait: devices do. */
  readonly fresh: (batch: Fresh) => void
  /** Most rows that this process writes to a tenant's dead letters in a minute; what is more stays among the raw messages, and the log says so. */
  readonly deadPerMinute: number
}

/** Readings in one statement: more would take longer than a statement may, each time it is tried. */
const mostReadings = 50_000

const nothing = { number: 0, batch: 0, stored: 0 }

const unusable: ReadonlyArray<IngestOutcome> = [{ state: "dead", reason: "The city cannot read or store it." }]

/** What is known of a tenant's devices. */
interface Known {
  readonly registry: Registry
  readonly inTurn: Semaphore.Semaphore
}

/** Outcomes, with a word on those for which there was no room among the dead letters; `kept` of them found it. */
const withUnlisted = (
  messages: ReadonlyArray<IngestMessage>,
  { dead, outcomes }: Read,
  kept: number
): ReadonlyArray<IngestOutcome> => {
  const unlisted = new Set(dead.slice(kept).map(({ message }) => message))
  return outcomes.map((outcome, place) =>
    outcome.state === "dead" && unlisted.has(messages[place]!) ? { ...outcome, unlisted: true } : outcome
  )
}

/** A mistake of a decoder: it must cost the message that meets it, not all that wait behind it. */
class Unreadable extends Data.TaggedError("Unreadable")<{ readonly cause: unknown }> {}

const orUnreadable = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.catchDefect(self, (cause) =>
    Effect.andThen(Effect.logError("Messages of devices could not be read", cause), new Unreadable({ cause }))
  )

const unavailable = (cause: SqlError) =>
  new DeviceIngestError({
    reason: "Unavailable",
    operation: "receive",
    subject: "readings",
    message:
      "The database takes nothing at the moment. Keep the messages and send them again; nothing was acknowledged.",
    retryable: true,
    cause
  })

/**
 * The tenant of a short name, none where its doors are closed; the list of tenants is read anew for an unknown one, at most once a second. Fails where
 * the list cannot be read: what is not known then is not unknown.
 */
const makeSlugs = () => {
  let askedAt = -Infinity
  const find = (slug: string) =>
    tenantBySlug(slug).pipe(
      Effect.map(({ suspended, tenantId }) => (suspended === true ? undefined : tenantId)),
      Effect.catchTag("NotFound", () => Effect.succeed(undefined))
    )
  return Effect.fnUntraced(function* (slug: string) {
    const known = yield* find(slug)
    if (known !== undefined) return known
    const now = yield* Clock.currentTimeMillis
    if (now - askedAt < 1000) return undefined
    askedAt = now
    yield* forgetTenants
    return yield* find(slug)
  })
}

/** Messages by tenant, each in the order of arrival; those whose tenant there is not are left out. */
const byTenant = Effect.fnUntraced(function* (
  messages: ReadonlyArray<IngestMessage>,
  tenantOf: ReturnType<typeof makeSlugs>
) {
  const groups = new Map<string, { readonly messages: Array<IngestMessage>; readonly places: Array<number> }>()
  const slugs = new Map<string, string | undefined>()
  for (const { from } of messages)
    if (!("session" in from) && !slugs.has(from.tenant)) slugs.set(from.tenant, yield* tenantOf(from.tenant))
  messages.forEach((message, place) => {
    const { from } = message
    const tenantId = "session" in from ? from.session.tenantId : slugs.get(from.tenant)
    if (tenantId === undefined) return
    const group = groups.get(tenantId)
    if (group === undefined) groups.set(tenantId, { messages: [message], places: [place] })
    else {
      group.messages.push(message)
      group.places.push(place)
    }
  })
  return groups
})

export const makeIntake = Effect.fnUntraced(function* (options: IntakeOptions) {
  const context = yield* Effect.context<Database>()
  const tenantOf = makeSlugs()
  const registries = new Map<string, Known>()
  const buried = new Map<string, { minute: number; rows: number }>()
  /** Of devices whose topic has changed since they were loaded. */
  const downlinks = new Map<string, string | null>()

  /** Births and deaths of edge nodes are read one batch after the other: what they mean depends on those before. */
  const inTurn = yield* Semaphore.make(1)

  const knownOf = (tenantId: string): Known => {
    const known = registries.get(tenantId)
    if (known !== undefined) return known
    const made = { registry: emptyRegistry(), inTurn: Semaphore.makeUnsafe(1) }
    registries.set(tenantId, made)
    return made
  }

  /** Learns of changes and of devices; the registry's number then. One at a time: rows that were read before a change must not be put in after it. */
  const learn = (tenantId: string, names: Iterable<string>) => {
    const { inTurn: alone, registry } = knownOf(tenantId)
    return withTenant(tenantId)(Effect.andThen(refreshRegistry(registry), loadByName(registry, names))).pipe(
      Effect.map(() => registry.number),
      alone.withPermits(1)
    )
  }

  /** The part of the dead letters that is kept as such. */
  const withinMeasure = Effect.fnUntraced(function* (tenantId: string, now: number, { dead }: Read) {
    const minute = Math.floor(now / 60_000)
    let count = buried.get(tenantId)
    if (count?.minute !== minute) buried.set(tenantId, (count = { minute, rows: 0 }))
    const room = Math.max(0, options.deadPerMinute - count.rows)
    // Once a minute: whoever floods the letters must not flood the log.
    if (dead.length > room && count.rows <= options.deadPerMinute)
      yield* Effect.logWarning(
        `Tenant ${tenantId}: more than ${options.deadPerMinute} messages a minute cannot be used. The rest of this minute's are among the raw messages only; replay them when the cause is mended.`
      )
    count.rows += dead.length
    return dead.slice(0, room)
  })

  /** Reads messages by what the registry knows, which learns of their devices first. */
  const readAll = Effect.fnUntraced(function* (
    tenantId: string,
    messages: ReadonlyArray<IngestMessage>,
    again?: { readonly nodes: EdgeNodes; readonly now: number }
  ) {
    const { registry } = knownOf(tenantId)
    const names = namesOf(messages)
    for (const name of names) if (registry.byName.has(name)) names.delete(name)
    // Who changes the registry from here on gives it another number, under which nothing of this is stored.
    let number = names.size > 0 || registry.number === 0 ? yield* learn(tenantId, names) : registry.number
    const decode = orUnreadable(options.decode(tenantId, registry, messages, again?.nodes))
    let decoded = yield* decode
    const unknown = new Set([...decoded.unknown, ...unknownOf(registry, decoded.results)])
    if (unknown.size > 0) {
      number = yield* learn(tenantId, unknown)
      // Those behind a gateway may have codecs.
      decoded = yield* decode
    }
    const read = yield* orUnreadable(
      Effect.sync(() => ({
        ...readMessages(registry, messages, decoded.results, again?.now),
        downlinks: downlinksOf(registry, messages, decoded.results)
      }))
    )
    return { ...read, nodes: decoded.nodes, asks: decoded.asks, number }
  })

  /** One transaction. What the database will not have for the rows' own sake comes out of it one by one. */
  const store = (
    tenantId: string,
    messages: ReadonlyArray<IngestMessage>,
    again: EdgeNodes | undefined,
    attempt = 0
  ): Effect.Effect<ReadonlyArray<IngestOutcome>, SqlError, Database> =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const read = yield* readAll(tenantId, messages, again && { nodes: again, now })
      if (read.readings.length > mostReadings && messages.length > 1) return yield* halves(tenantId, messages, again)
      const dead = again ? [] : yield* withinMeasure(tenantId, now, read)
      const moved = again ? [] : newsOf(downlinks, read.downlinks)
      const batch = yield* withTenant(tenantId)(
        Effect.gen(function* () {
          if (!again) yield* storeRaw(messages)
          if (dead.length > 0) yield* storeDead(dead)
          if (!again && read.statuses.length > 0) yield* storeStatuses(read.statuses, now)
          if (!again && read.nodes.size > 0) yield* storeNodes(read.nodes)
          if (!again && read.commands.length > 0) yield* storeCommandNews(read.commands)
          if (moved.length > 0) yield* storeDownlinks(moved)
          // Without readings too: what is dead for the registry that was read may be well for the present one.
          if (read.number === 0) return nothing
          return yield* storeReadings(read.number, now, again ? yield* withoutKept(read.readings) : read.readings)
        })
      )
      if (batch.stored > 0)
        options.fresh({
          tenantId,
          number: batch.number,
          receivedAt: now,
          readings: batch.stored === read.readings.length ? read.readings : undefined
        })
      for (const { deviceId, topic } of moved) downlinks.set(deviceId, topic)
      if (!again && read.asks.length > 0) options.told({ tenantId, asks: read.asks })
      if (again) for (const [device, node] of read.nodes) again.set(device, node)
      return again || dead.length === read.dead.length ? read.outcomes : withUnlisted(messages, read, dead.length)
    }).pipe(
      Effect.catchIf(
        (error): error is SqlError => attempt < 5 && (isStale(error) || isUnparted(error)),
        (error) =>
          Effect.andThen(prepare(tenantId, messages, isStale(error)), store(tenantId, messages, again, attempt + 1))
      ),
      Effect.catchIf(
        (error): error is SqlError | Unreadable => error instanceof Unreadable || isPoisoned(error),
        (error) =>
          messages.length > 1
            ? halves(tenantId, messages, again)
            : again
              ? Effect.succeed(unusable)
              : bury(tenantId, messages[0]!, error)
      )
    )

  /** What was missing for a batch: the registry's news, or partitions. */
  const prepare = Effect.fnUntraced(function* (
    tenantId: string,
    messages: ReadonlyArray<IngestMessage>,
    stale: boolean
  ) {
    if (stale) return yield* Effect.asVoid(learn(tenantId, []))
    const { readings } = yield* readAll(tenantId, messages)
    yield* ensureReadingPartitions(readings)
    yield* ensurePartition("raw_message", yield* Clock.currentTimeMillis)
    for (const at of new Set(messages.map(({ receivedAt }) => Math.floor(receivedAt / 86_400_000) * 86_400_000)))
      yield* ensurePartition("raw_message", at)
  })

  const halves = (tenantId: string, messages: ReadonlyArray<IngestMessage>, again: EdgeNodes | undefined) =>
    Effect.gen(function* () {
      const middle = messages.length >> 1
      const first = yield* store(tenantId, messages.slice(0, middle), again)
      return [...first, ...(yield* store(tenantId, messages.slice(middle), again))]
    })

  const bury = (tenantId: string, message: IngestMessage, error: SqlError | Unreadable) =>
    withTenant(tenantId)(
      storeDead([
        {
          message,
          device: undefined,
          name: deviceNameOf(message),
          reason: "malformed",
          detail:
            error instanceof Unreadable
              ? `Reading it failed: ${String(error.cause)}`
              : `The database does not take it: ${error.reason.message}`
        }
      ])
    ).pipe(Effect.as(unusable))

  const turnOf = (messages: ReadonlyArray<IngestMessage>) =>
    messages.some(({ format }) => format === "sparkplug")
      ? inTurn.withPermits(1)
      : <A, E, R>(self: Effect.Effect<A, E, R>) => self

  const take = Effect.fnUntraced(function* (messages: ReadonlyArray<IngestMessage>, again: EdgeNodes | undefined) {
    const outcomes: Array<IngestOutcome> = messages.map(() => ({
      state: "refused",
      reason: "There is no such city here."
    }))
    const groups = yield* byTenant(messages, tenantOf)
    yield* Effect.forEach(
      groups,
      ([tenantId, group]) =>
        Effect.map(turnOf(group.messages)(store(tenantId, group.messages, again)), (all) =>
          all.forEach((outcome, place) => (outcomes[group.places[place]!] = outcome))
        ),
      { concurrency: 4, discard: true }
    )
    return outcomes as ReadonlyArray<IngestOutcome>
  })

  const open = (self: ReturnType<typeof take>) =>
    self.pipe(Effect.mapError(unavailable), Effect.provideContext(context))
  return Intake.of({
    receive: (messages) => open(take(messages, undefined)),
    replay: (messages, nodes = new Map()) => open(take(messages, nodes))
  })
})
