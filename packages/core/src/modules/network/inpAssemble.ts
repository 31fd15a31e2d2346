/** What an EPANET file said, as assets in our units. */
import type { AssetStatus, FileLine, FilePoint, NetworkFile, Position } from "./model.ts"
import type { InpUnits } from "./units.ts"

/** As the file has it, before its units are known. */
export interface RawPoint {
  readonly kind: "junction" | "reservoir" | "tank"
  readonly line: number
  readonly values: ReadonlyArray<number | null>
  readonly pattern: string | undefined
  position: Position | null
  /** Sum of `[DEMANDS]`, which takes the place of what `[JUNCTIONS]` says. */
  demands: number | undefined
  tag: string | undefined
}

export interface RawLine {
  readonly kind: "pipe" | "pump" | "valve"
  readonly line: number
  readonly from: string
  readonly to: string
  /** After the ends, as they stand in the file. */
  readonly words: ReadonlyArray<string>
  readonly vertices: Array<Position>
  /** `OPEN`, `CLOSED`, `ACTIVE`, `CV` or a number. */
  status: string | undefined
  tag: string | undefined
}

interface RawNetwork {
  readonly title: string
  readonly points: ReadonlyMap<string, RawPoint>
  readonly lines: ReadonlyMap<string, RawLine>
  readonly units: InpUnits
  readonly demandFactor: number
  readonly warnings: ReadonlyArray<string>
}

/** Only what the file says; numbers to six digits behind the point, so that factors do not look like knowledge. */
const rounded = (value: number): number => Math.round(value * 1e6) / 1e6
const times = (value: number | null | undefined, factor: number): number | null =>
  value == null ? null : rounded(value * factor)
const said = (facts: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(facts).filter(([, value]) => value != null && value !== ""))

const pointOf = (externalId: string, raw: RawPoint, { demandFactor, units }: RawNetwork): FilePoint => {
  const [first, second, minimum, maximum, diameter] = raw.values
  const more =
    raw.kind === "junction"
      ? { elevation: times(first, units.length) }
      : raw.kind === "reservoir"
        ? { head: times(first, units.length) }
        : {
            elevation: times(first, units.length),
            initialLevel: times(second, units.length),
            minimumLevel: times(minimum, units.length),
            maximumLevel: times(maximum, units.length),
            // A tank's is in feet or metres, not in inches.
            tankDiameter: times(diameter, units.length)
          }
  const demand = raw.kind === "junction" ? (raw.demands ?? second ?? 0) : 0
  return {
    shape: "point",
    externalId,
    kind: raw.kind,
    status: "open",
    operable: true,
    directed: false,
    length: null,
    diameter: null,
    material: null,
    installedOn: null,
    customers: 0,
    demand: rounded(demand * demandFactor * units.flow),
    properties: said({ ...more, pattern: raw.pattern, tag: raw.tag }),
    position: raw.position
  }
}

/** A pump's speed of 0 is off; a valve's number is its setting, and leaves it open. */
const statusOf = (raw: RawLine): AssetStatus =>
  raw.status === "CLOSED" || (raw.kind === "pump" && raw.status !== undefined && Number(raw.status) === 0)
    ? "closed"
    : "open"

const lineOf = (externalId: string, raw: RawLine, { units }: RawNetwork): FileLine => {
  const [first, second, third] = raw.words
  const shared = {
    shape: "line",
    externalId,
    kind: raw.kind,
    operable: true,
    material: null,
    installedOn: null,
    customers: 0,
    demand: 0,
    from: raw.from,
    to: raw.to,
    vertices: raw.vertices
  } as const
  if (raw.kind === "pipe") {
    // The minor loss may be left out, and then the status stands in its place.
    const word = raw.words
      .slice(3)
      .find((one) => /^(open|closed|cv)$/i.test(one))
      ?.toUpperCase()
    const checks = word === "CV"
    return {
      ...shared,
      status: statusOf({ ...raw, status: raw.status ?? word }),
      directed: checks,
      length: times(Number(first), units.length),
      diameter: times(Number(second), units.diameter),
      properties: said({ roughness: Number(third), checkValve: checks ? true : null, tag: raw.tag })
    }
  }
  if (raw.kind === "pump")
    return {
      ...shared,
      status: statusOf(raw),
      directed: true,
      length: 0,
      diameter: null,
      properties: said({ parameters: raw.words.join(" ").slice(0, 200), tag: raw.tag })
    }
  const type = second?.toUpperCase()
  return {
    ...shared,
    status: statusOf(raw),
    // Those that hold a pressure let nothing back (EPANET 2.2 User Manual, 3.1, Valves).
    directed: type === "PRV" || type === "PSV",
    length: 0,
    diameter: times(Number(first), units.diameter),
    // In the file's own unit, which the valve's type decides.
    properties: said({ valveType: type, setting: third, tag: raw.tag })
  }
}

export const assembleInp = (raw: RawNetwork): NetworkFile => ({
  title: raw.title,
  points: [...raw.points].map(([id, point]) => pointOf(id, point, raw)),
  lines: [...raw.lines].map(([id, line]) => lineOf(id, line, raw)),
  warnings: raw.warnings
})
