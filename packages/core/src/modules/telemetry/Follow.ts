/** Runs the followers of all tenants, each in one process at a time: from memory where it has just taken the readings in, else from the database. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { SqlError } from "effect/sql/SqlError"
import { type Database, PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { whileLeader } from "../../kernel/leases/lease.ts"
import { makeSignal } from "../../kernel/Signals.ts"
import type { Checked } from "./check.ts"
import { type Batch, type Follower, type Gathering, type Hearing, movePlace, placeOf } from "./Follower.ts"
import { hearingEvery, noteHearing } from "./hearing.ts"
import type { Fresh } from "./Intake.ts"
import { emptyRegistry, loadByStream, refreshRegistry, type Registry } from "./registry.ts"
import type { TenantTime } from "./rules/hours.ts"
import { isUnparted } from "./store.ts"

/** Fresh readings of all tenants that wait in memory, for one follower; what is more is read from the database, which is slower. */
const mostFresh = 100_000
/** Readings that are read from the database at once. */
const mostRead = 50_000
/** Batches that a tenant may take before another's turn. */
const turnBatches = 50

/** Milliseconds that a pause grows to, for a follower that has none of its own that is longer. */
const longest = 300

/** Milliseconds of a clock that nobody sets. */
const elapsed = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

export const inOrder = (left: Checked, right: Checked): number =>
  left.at - right.at || left.stream.number - right.stream.number || left.sequence - right.sequence

interface Following {
  readonly registry: Registry
  readonly gathering: Gathering
  /** As written. */
  place: number
  /** As gathered. */
  reached: number
  /** Of a clock that nobody sets. */
  writtenAt: number
  /** Milliseconds that the last write took. */
  took: number
  /** What was frozen is being written. */
  writing: Fiber.Fiber<void, SqlError> | undefined
}

/** How far a tenant's batches go, and what they are to be read by; asked in one statement, so that what changed before a batch is known with it. */
interface Head {
  readonly tenantId: string
  readonly head: number
  readonly registry: number
  readonly time: TenantTime
}

export class Follow extends Context.Service<
  Follow,
  {
    readonly offer: (fresh: Fresh) => void
    /** Never ends by itself. */
    readonly run: Effect.Effect<never, never, Database>
    /** Takes and writes everything there is, for tests and before the process ends. */
    readonly settle: Effect.Effect<void, SqlError, Database>
  }
>()("@mahalla/telemetry/Follow") {}

/** Batches after a place, as the database has them; as many as are good for one turn, with `most` readings unless the first alone has more. */
export const readBatches = Effect.fnUntraced(function* (registry: Registry, after: number, most: number = mostRead) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ number: string; batch: string; readings: number; first: number; last: number; at: number }>`
    select b.number::text, batch::text, readings, extract(epoch from first_at)::float8 as first, extract(epoch from last_at)::float8 as last,
      extract(epoch from received_at)::float8 * 1000 as at
    from mahalla.reading_batch b where tenant_id = ${tenantId} and b.number > ${after} order by b.number limit ${turnBatches}`
  const taken: Array<(typeof rows)[number]> = []
  let size = 0
  for (const row of rows) {
    if (taken.length > 0 && size + row.readings > most) break
    taken.push(row)
    size += row.readings
  }
  if (taken.length === 0) return []
  const first = Math.min(...taken.map((row) => row.first))
  const last = Math.max(...taken.map((row) => row.last))
  // Index: reading_batch_brin, in the partitions of the time between.
  const readings = yield* sql<{
    batch: string
    datastream: string
    at: number
    sequence: string
    value: number
    quality: number
  }>`
    select batch::text, datastream::text, round(extract(epoch from at) * 1000)::float8 as at, sequence::text, value, quality
    from mahalla.reading where tenant_id = ${tenantId} and batch = any (${taken.map(({ batch }) => batch)}::bigint[])
      and at between to_timestamp(${first}) - interval '1 ms' and to_timestamp(${last}) + interval '1 ms'`
  yield* refreshRegistry(registry)
  yield* loadByStream(
    registry,
    readings.map(({ datastream }) => Number(datastream))
  )
  const byBatch = new Map<string, Array<Checked>>(taken.map(({ batch }) => [batch, []]))
  for (const row of readings) {
    const stream = registry.byStream.get(Number(row.datastream))
    // Dropped from its profile in between.
    if (stream === undefined) continue
    const { at, quality, value } = row
    byBatch.get(row.batch)!.push({ stream, at, sequence: Number(row.sequence), value, quality })
  }
  return taken.map(({ at, batch, number }): Batch => ({
    number: Number(number),
    receivedAt: at,
    readings: byBatch.get(batch)!.sort(inOrder)
  }))
})

const makeWay = Effect.fnUntraced(function* (follower: Follower, holder: string) {
  const signal = yield* makeSignal
  const wake = () => Effect.runSync(signal.wake)
  const fresh = new Map<string, Map<number, Fresh>>()
  let waiting = 0
  const tenants = new Map<string, Following>()

  const forget = (tenantId: string, number: number): void => {
    const batches = fresh.get(tenantId)
    const batch = batches?.get(number)
    if (batches === undefined || batch === undefined) return
    batches.delete(number)
    if (batches.size === 0) fresh.delete(tenantId)
    waiting -= batch.readings!.length
  }

  const offer = (batch: Fresh): void => {
    const { number, readings, tenantId } = batch
    if (readings !== undefined) {
      const batches = fresh.get(tenantId) ?? new Map<number, Fresh>()
      fresh.set(tenantId, batches.set(number, batch))
      waiting += readings.length
    }
    // A process that follows takes them soon; in one that does not they come to no more than this.
    while (waiting > mostFresh) {
      const [first, batches] = fresh.entries().next().value!
      forget(first, batches.keys().next().value!)
    }
    wake()
  }

  const forgetUntil = (tenantId: string, number: number): void => {
    for (const batch of [...(fresh.get(tenantId)?.keys() ?? [])]) if (batch <= number) forget(tenantId, batch)
  }

  const open = Effect.fnUntraced(function* (tenantId: string) {
    const known = tenants.get(tenantId)
    if (known !== undefined) return known
    const now = yield* elapsed
    const made = yield* withTenant(tenantId)(
      Effect.gen(function* () {
        const place = yield* placeOf(follower.id)
        const gathering = yield* follower.open(tenantId)
        return {
          registry: emptyRegistry(),
          gathering,
          place,
          reached: place,
          writtenAt: now,
          took: 0,
          writing: undefined
        } satisfies Following
      })
    )
    tenants.set(tenantId, made)
    return made
  })

  const write = Effect.fnUntraced(function* (tenantId: string, one: Following) {
    const { gathering, place, reached } = one
    const began = yield* elapsed
    const what = gathering.freeze?.() ?? gathering.write
    const attempt = withTenant(tenantId)(
      Effect.gen(function* () {
        if (!(yield* movePlace(follower.id, place, reached))) return false
        yield* what
        return true
      })
    )
    const ours = yield* Effect.catchIf(attempt, isUnparted, () => Effect.andThen(gathering.prepare, attempt))
    if (!ours) {
      // Another process was the leader in between: begin again from what it has written.
      tenants.delete(tenantId)
      return
    }
    if (gathering.freeze === undefined) gathering.cleared()
    one.place = reached
    one.writtenAt = yield* elapsed
    one.took = one.writtenAt - began
  })

  /** Waits for what is being written, or looks whether it is done; true when it is, and a failure of it is one of the turn. */
  const isWritten = (one: Following, wait: boolean) =>
    Effect.gen(function* () {
      if (one.writing === undefined) return true
      if (!wait && one.writing.pollUnsafe() === undefined) return false
      const { writing } = one
      one.writing = undefined
      yield* Fiber.join(writing)
      return true
    })

  /** The next batches after a place: those in memory without a gap, else the database's. */
  const nextBatches = (tenantId: string, { registry }: Following, after: number) =>
    Effect.suspend(() => {
      const batches = fresh.get(tenantId)
      const found: Array<Batch> = []
      for (let number = after + 1; found.length < turnBatches; number++) {
        const batch = batches?.get(number)
        if (batch?.readings === undefined) break
        found.push({ number, receivedAt: batch.receivedAt, readings: batch.readings })
      }
      return found.length > 0 ? Effect.succeed(found) : withTenant(tenantId)(readBatches(registry, after))
    })

  /** One tenant's turn; true when there may be more to take. */
  const turnOf = Effect.fnUntraced(function* ({ head, registry, tenantId, time }: Head, all: boolean) {
    const one = yield* open(tenantId)
    if (one.gathering.know !== undefined) yield* one.gathering.know(registry, time, hearing)
    const behind = one.reached
    if (behind < head && one.gathering.idle?.() === true) {
      forgetUntil(tenantId, head)
      one.reached = head
    } else if (behind < head)
      for (const batch of yield* nextBatches(tenantId, one, behind)) {
        yield* one.gathering.take(batch)
        one.reached = batch.number
        forget(tenantId, batch.number)
        // Many that waited are no reason for requests to wait.
        yield* Effect.yieldNow
      }
    const now = yield* elapsed
    // Of a device whose readings still wait here nothing is concluded from its silence.
    if (one.gathering.turn !== undefined && one.reached >= head) yield* one.gathering.turn
    if (one.gathering.tell !== undefined) yield* one.gathering.tell
    // No more than a tenth of the time goes into writing.
    const due =
      all || now - one.writtenAt >= Math.max(follower.every, 9 * one.took) || one.gathering.waiting() >= follower.most
    // Where nothing more is coming just now, screens need not wait.
    const idle = one.reached >= head && follower.every <= 2000
    if ((due || idle) && (yield* isWritten(one, all)) && one.reached !== one.place) {
      if (all || one.gathering.freeze === undefined) yield* write(tenantId, one)
      else one.writing = yield* Effect.forkChild(write(tenantId, one), { startImmediately: true })
    }
    return one.reached < head && one.reached > behind
  })

  let hearing: Hearing = { now: -Infinity, deaf: [] }
  /** Before anything is concluded of this turn. */
  const hear = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    if (Math.abs(now - hearing.now) >= hearingEvery) hearing = yield* withPlatform(noteHearing)
  })

  const heads = withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<{ tenantId: string; head: string; registry: string } & TenantTime>`
        select h.tenant_id as "tenantId", h.batch::text as head, h.registry::text, t.settings ->> 'timeZone' as "timeZone",
          t.settings #> '{calendar,holidays}' as holidays
        from mahalla.telemetry_head h join mahalla.tenant t on t.tenant_id = h.tenant_id`
    )
  )

  const turn = (all: boolean, attempt = turnOf) =>
    Effect.gen(function* () {
      let more = false
      yield* hear
      for (const { head, holidays, registry, tenantId, timeZone } of yield* heads) {
        const one: Head = { tenantId, head: Number(head), registry: Number(registry), time: { timeZone, holidays } }
        more = (yield* attempt(one, all)) || more
      }
      return more
    })

  /** What one tenant's turn stumbles over holds up no other. What it had gathered may be in a state that nobody knows: it begins from what is written. */
  const apart: typeof turnOf = (head, all) =>
    Effect.catchCause(turnOf(head, all), (cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.failCause(cause)
        : Effect.logWarning(
            `telemetry-${follower.id}: the turn of tenant ${head.tenantId} failed and is tried again`,
            cause
          ).pipe(Effect.tap(Effect.sync(() => tenants.delete(head.tenantId))), Effect.as(false))
    )

  const settle: Effect.Effect<void, SqlError, Database> = Effect.repeat(turn(true), { while: (more) => more }).pipe(
    Effect.andThen(turn(true)),
    Effect.asVoid
  )
  const { id, pause } = follower
  /** Until there is something new; turns with a pause take no more than a quarter of the time, unless they are long: then nobody waits longer for them. */
  const paced = Effect.gen(function* () {
    const began = yield* elapsed
    if (yield* turn(false, apart)) return
    const ended = yield* elapsed
    yield* signal.wait("500 millis")
    if (pause === 0) return
    const waited = (yield* elapsed) - ended
    yield* Effect.sleep(Math.max(0, Math.max(pause, Math.min(longest, 3 * (ended - began))) - waited))
  })
  const run = whileLeader(
    { name: `telemetry-${id}`, holder, seconds: 15 },
    paced.pipe(
      // What was gathered may be in a state that nobody knows.
      Effect.onError(() => Effect.sync(() => tenants.clear()))
    )
  )
  return { offer, run, settle }
})

/** Each follower goes its own way: alerts do not wait while charts are written. */
export const makeFollow = Effect.fnUntraced(function* (followers: ReadonlyArray<Follower>, holder: string) {
  const ways = yield* Effect.forEach(followers, (follower) => makeWay(follower, holder))
  return Follow.of({
    offer: (batch) => {
      const readings = batch.readings === undefined ? undefined : [...batch.readings].sort(inOrder)
      for (const { offer } of ways) offer({ ...batch, readings })
    },
    run: Effect.andThen(
      Effect.forEach(ways, ({ run }) => run, { concurrency: "unbounded", discard: true }),
      Effect.never
    ),
    settle: Effect.forEach(ways, ({ settle }) => settle, { discard: true })
  })
})
