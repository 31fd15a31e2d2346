/**
 * Looks for leaks in the zones of a tenant, in the order of the batches. State, leaks and alerts are written in the transaction that moves the place:
 * after a crash the same readings are counted from the same state, and what was found is told once.
 */
import * as Effect from "effect/Effect"
import { type Database, withTenant } from "../../../kernel/db/Database.ts"
import { tenantById } from "../../../kernel/tenancy/resolve.ts"
import { quality } from "../check.ts"
import type { Follower, Gathering } from "../Follower.ts"
import { loadHead } from "../judge/load.ts"
import { loadStates, loadVersions, loadZones } from "./load.ts"
import { accept, changed, count, type Watched, watchedOf } from "./watched.ts"
import { writeZones } from "./write.ts"

interface Sensor {
  readonly watched: Watched
  readonly sensor: number
}

const open = Effect.fnUntraced(function* (tenantId: string) {
  const { timeZone } = (yield* tenantById(tenantId))!.settings
  const zones = new Map<string, Watched>()
  /** By the number of a datastream; one may be of several zones: what flows out of one flows into another. */
  let sensors = new Map<number, Array<Sensor>>()
  let registry = -1

  const index = () => {
    sensors = new Map()
    for (const watched of zones.values())
      watched.zone.streams.forEach(({ number }, sensor) => {
        const of = sensors.get(number)
        if (of === undefined) sensors.set(number, [{ watched, sensor }])
        else of.push({ watched, sensor })
      })
  }

  /** Zones as they are now: new ones, other versions, acceptances. */
  const refresh = Effect.gen(function* () {
    // First: what changes after it comes with a higher number.
    const head = yield* loadHead
    const versions = yield* loadVersions
    const there = new Map(versions.map((one) => [one.id, one]))
    for (const id of zones.keys()) if (!there.has(id)) zones.delete(id)
    const others = versions.filter(({ id, version }) => zones.get(id)?.zone.version !== version)
    const stored = registry === -1 ? new Map((yield* loadStates).map((row) => [row.zoneId, row])) : undefined
    for (const zone of yield* loadZones(
      others.map(({ id }) => id),
      timeZone
    )) {
      const { accepted } = there.get(zone.id)!
      const before = zones.get(zone.id)
      zones.set(
        zone.id,
        before === undefined ? watchedOf(zone, stored?.get(zone.id), accepted) : changed(before, zone, accepted)
      )
    }
    for (const watched of zones.values()) accept(watched, there.get(watched.zone.id)!.accepted)
    registry = head.registry
    index()
  })
  yield* refresh

  const take: Gathering["take"] = ({ readings, receivedAt }) =>
    Effect.gen(function* () {
      for (const reading of readings) {
        const of = sensors.get(reading.stream.number)
        if (of === undefined || (reading.quality & quality.outOfRange) !== 0) continue
        // A night of a large zone takes a while: others have their turn after each.
        for (const { sensor, watched } of of) if (count(watched, sensor, reading, receivedAt)) yield* Effect.yieldNow
      }
    })

  const waiting = () => [...zones.values()].filter(({ counted, turned }) => counted || turned)

  return {
    take,
    know: (current: number) =>
      (current === registry ? Effect.void : withTenant(tenantId)(refresh)) as Effect.Effect<void, never, Database>,
    idle: () => zones.size === 0,
    // A night that was judged is written at once.
    waiting: () => waiting().filter(({ turned }) => turned).length,
    prepare: Effect.void,
    write: Effect.suspend(() => writeZones(waiting())),
    cleared: () => {
      for (const watched of zones.values()) {
        watched.counted = false
        watched.turned = false
        watched.found = []
      }
    }
  } satisfies Gathering
})

export const watchZones: Follower = {
  id: "leaks",
  every: 60_000,
  pause: 1000,
  most: 1,
  open: open as Follower["open"]
}
