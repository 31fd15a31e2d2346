/** Where a device is, for `geofence` leaves and for whoever goes there: its own last word, else where it is registered. */
import { greatCircleDistance } from "h3-js"
import type { Place } from "../../../kernel/cases/model.ts"
import { contains } from "../../../kernel/tenancy/boundary.ts"
import type { Draft, Evaluate, Instance, Member, Stream } from "./model.ts"
import type { GeofenceLeaf } from "./definition.ts"
import { isOver } from "./state.ts"

/** Keys under which devices tell where they are, latitude first: ThingsBoard's, then what trackers say. */
const pairs = [
  ["latitude", "longitude"],
  ["lat", "lon"],
  ["lat", "lng"]
] as const

type Told = readonly [latitude: Stream, longitude: Stream]

const timeOf = ([latitude, longitude]: Told): number => Math.max(latitude.at, longitude.at)
/** Grows with every coordinate. */
const stateOf = ([latitude, longitude]: Told): number => latitude.at + longitude.at
/** Two coordinates of one time are one place; one alone may have its other half on the way. */
const isWhole = ([latitude, longitude]: Told): boolean => latitude.at === longitude.at

/** The pair that was told last; undefined where there is none. */
const newest = (told: ReadonlyArray<Told>): Told | undefined => {
  let found: Told | undefined
  // NaN, of a datastream that has said nothing, is not later than anything.
  for (const one of told) if (timeOf(one) > (found === undefined ? -Infinity : timeOf(found))) found = one
  return found
}

/** Undefined where the two numbers are no place on earth. */
const placeIn = ([{ value: latitude }, { value: longitude }]: Told): Place | undefined =>
  Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180 ? { longitude, latitude } : undefined

/** Where a device is, as far as its rules look at that; undefined where nobody knows. */
export const placeOf = ({ facts, streams }: Member): Place | undefined => {
  const told = pairs.flatMap(([latitude, longitude]): ReadonlyArray<Told> => {
    const [first, second] = [streams.get(latitude), streams.get(longitude)]
    return first === undefined || second === undefined ? [] : [[first, second]]
  })
  const last = newest(told)
  return (last === undefined ? undefined : placeIn(last)) ?? facts?.place
}

const isWithin = (area: GeofenceLeaf["area"], place: Place): boolean => {
  if (area.type !== "Circle") return contains(area, place)
  const [longitude = 0, latitude = 0] = area.coordinates
  return greatCircleDistance([latitude, longitude], [place.latitude, place.longitude], "m") <= area.radius
}

/** Its truth, what it has looked at, and until when half a place waits for its other half. */
export const geofence = (draft: Draft, leaf: GeofenceLeaf): Evaluate => {
  const own = draft.take(3)
  const [seen, waiting] = [own + 1, own + 2]
  const place = draft.memberOf(leaf.member)
  const inside = leaf.is === "inside" ? 1 : -1
  const sources = pairs.map((keys) => keys.map((key) => draft.sourceOf(leaf.member, key)))
  const last = ({ streams }: Instance) =>
    newest(sources.map(([latitude, longitude]): Told => [streams[latitude!]!, streams[longitude!]!]))

  /** Goes by where it is now; whether that changes the truth. */
  const look = (instance: Instance, told: Told | undefined): boolean => {
    const { base, members, slots } = instance
    const before = slots[base + own]
    const here = told === undefined ? members[place]!.facts?.place : placeIn(told)
    slots[base + waiting] = Number.NaN
    slots[base + seen] = told === undefined ? Number.NaN : stateOf(told)
    // What is no place says nothing of where it is.
    if (here === undefined && told !== undefined && before === before) return false
    const truth = here === undefined ? 0 : isWithin(leaf.area, here) ? inside : -inside
    slots[base + own] = truth
    return truth !== before
  }
  const hear = (instance: Instance): boolean => {
    const { base, originator, slots } = instance
    const told = last(instance)
    const isFirst = Number.isNaN(slots[base + own])
    if (told === undefined || isWhole(told) || isFirst) {
      const waited = !Number.isNaN(slots[base + waiting])
      return look(instance, told) || waited
    }
    if (stateOf(told) === slots[base + seen]) return false
    // Until time has moved on, and not a moment that has been decided already.
    slots[base + waiting] = Math.max(originator.clock, originator.closed + 1)
    return true
  }
  for (const source of new Set(sources.flat())) draft.updates.push({ source, update: hear })
  draft.watches.push({ on: "attributes", member: place, update: hear })
  draft.dues.push(({ base, slots }) => {
    const due = slots[base + waiting]!
    return due === due ? due : Infinity
  })
  return (instance, now) => {
    const { base, originator, slots } = instance
    const until = slots[base + waiting]!
    if (until === until && isOver(originator, until, now)) look(instance, last(instance))
    return slots[base + own]!
  }
}
