/** A zone under watch: its detector, what it has found, and what has to be written of it. Pure but for its own state. */
import type { Checked } from "../check.ts"
import { decodeLeakState, encodeLeakState } from "../leaks/codec.ts"
import { acceptLeaks, endsNight, observe } from "../leaks/detector.ts"
import type { LeakFound } from "../leaks/group.ts"
import { decodeWithOtherPlaces } from "../leaks/places.ts"
import { emptyLeakState, type LeakState } from "../leaks/state.ts"
import type { LoadedZone, StoredState } from "./load.ts"

export interface Watched {
  readonly zone: LoadedZone
  readonly state: LeakState
  /** How many of the zone's acceptances the state has heard. */
  accepted: number
  /** Epoch milliseconds: the end of the last night that was judged. */
  judgedAt: number | undefined
  /** Since it was last written: a reading was counted; a night was judged or the state is another; leaks that were found. */
  counted: boolean
  turned: boolean
  found: Array<LeakFound>
}

const same = (left: Uint8Array, right: Uint8Array) => Buffer.compare(left, right) === 0

const stateOf = ({ group, placesHash, sensorsHash }: LoadedZone, stored: StoredState | undefined) => {
  if (stored === undefined || !same(stored.sensors, sensorsHash)) return undefined
  return same(stored.places, placesHash)
    ? decodeLeakState(group, stored.state)
    : decodeWithOtherPlaces(group, stored.state)
}

/** As it was written, as far as that is still of this zone; else from the beginning. `accepted`: as the zone has it now. */
export const watchedOf = (zone: LoadedZone, stored: StoredState | undefined, accepted: number): Watched => {
  const state = stateOf(zone, stored)
  const watched: Watched = {
    zone,
    state: state ?? emptyLeakState(zone.group),
    accepted: state === undefined ? accepted : stored!.accepted,
    judgedAt: state === undefined ? undefined : stored!.judgedAt?.getTime(),
    counted: false,
    turned: state === undefined || !same(stored!.places, zone.placesHash),
    found: []
  }
  accept(watched, accepted)
  return watched
}

/** The same zone in another version. */
export const changed = (before: Watched, zone: LoadedZone, accepted: number): Watched => ({
  ...watchedOf(
    zone,
    {
      zoneId: zone.id,
      sensors: before.zone.sensorsHash,
      places: before.zone.placesHash,
      accepted: before.accepted,
      state: encodeLeakState(before.state),
      judgedAt: before.judgedAt === undefined ? null : new Date(before.judgedAt)
    },
    accepted
  ),
  counted: true,
  turned: true
})

/** Takes up that leaks were accepted, where they were. */
export const accept = (watched: Watched, accepted: number): void => {
  if (accepted === watched.accepted) return
  acceptLeaks(watched.zone.group, watched.state)
  watched.accepted = accepted
  watched.turned = true
}

/** Counts in a reading of one of its sensors; true when a night was judged with it. */
export const count = (watched: Watched, sensor: number, { at, value }: Checked, receivedAt: number): boolean => {
  const { state, zone } = watched
  // A clock that is ahead does not end the night for the others.
  const when = Math.min(at, receivedAt)
  const over = endsNight(state, when)
  if (over) {
    watched.judgedAt = state.end
    watched.turned = true
  }
  const found = observe(zone.group, state, sensor, when, value * zone.streams[sensor]!.factor)
  if (found !== undefined) watched.found.push(found)
  watched.counted = true
  return over
}
