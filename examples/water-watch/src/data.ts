/** What the example is made of: the files beside it, in one form. */
import cities from "../data/cities.json" with { type: "json" }
import profiles from "../data/profiles.json" with { type: "json" }
import rules from "../data/rules.json" with { type: "json" }

export interface WaterCity {
  readonly slug: string
  readonly name: string
  /** Where the plan's origin lies, WGS84 degrees. */
  readonly place: Place
  /** West, south, east, north in metres of the plan. */
  readonly districts: Readonly<Record<string, ReadonlyArray<number>>>
  readonly staff: ReadonlyArray<{
    readonly name: string
    readonly roles: ReadonlyArray<string>
    readonly language: string
  }>
  /** Named after the nodes of `network.inp` at which they are; `at`: metres of the plan. */
  readonly devices: ReadonlyArray<{
    readonly name: string
    readonly profile: string
    readonly at: ReadonlyArray<number>
    readonly groups: ReadonlyArray<string>
  }>
  /** In which leaks are looked for: the devices that measure what flows in, and those that measure pressure. */
  readonly zones: ReadonlyArray<{
    readonly name: string
    readonly inflows: ReadonlyArray<string>
    readonly pressures: ReadonlyArray<string>
  }>
}

export interface Place {
  readonly longitude: number
  readonly latitude: number
}

export const waterCities: ReadonlyArray<WaterCity> = cities
export const deviceProfiles: Readonly<Record<string, unknown>> = profiles
/** By their ids. Both cities have the same. */
export const waterRules: Readonly<Record<string, unknown>> = rules

/** A point of the plan on the map; good enough for some kilometres. */
export const onMap = ({ latitude, longitude }: Place, [east = 0, north = 0]: ReadonlyArray<number>): Place => ({
  longitude: longitude + east / (111_320 * Math.cos((latitude * Math.PI) / 180)),
  latitude: latitude + north / 110_540
})

export const boundary = (place: Place, [west = 0, south = 0, east = 0, north = 0]: ReadonlyArray<number>) => {
  const corner = (x: number, y: number) => {
    const { latitude, longitude } = onMap(place, [x, y])
    return [longitude, latitude]
  }
  const ring = [corner(west, south), corner(east, south), corner(east, north), corner(west, north), corner(west, south)]
  return { type: "Polygon" as const, coordinates: [ring] }
}
