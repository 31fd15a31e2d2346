/**
 * Units of UCUM (ucum.org) that water, air and energy are measured in, with the other names that devices give them, among them
 * those of SenML (RFC 8428 section 12.1, RFC 8798). Factors are exact by definition: SI (BIPM), yard and pound of 1959,
 * US gallon of 231 cubic inches, water and mercury columns as UCUM has them.
 */

interface Unit {
  /** What it measures; only units of one kind convert. */
  readonly kind: string
  /** `base = value * factor / divisor + offset`; two whole numbers where a single factor would be rounded. */
  readonly factor: number
  readonly divisor?: number
  readonly offset?: number
  /** Other names of it. */
  readonly also?: ReadonlyArray<string>
}

const units: ReadonlyMap<string, Unit> = new Map<string, Unit>([
  // Pressure, in pascals.
  ["Pa", { kind: "pressure", factor: 1 }],
  ["hPa", { kind: "pressure", factor: 100 }],
  ["kPa", { kind: "pressure", factor: 1_000 }],
  ["MPa", { kind: "pressure", factor: 1_000_000 }],
  ["mbar", { kind: "pressure", factor: 100 }],
  ["bar", { kind: "pressure", factor: 100_000 }],
  ["atm", { kind: "pressure", factor: 101_325 }],
  ["[psi]", { kind: "pressure", factor: 8_896_443_230_521, divisor: 1_290_320_000, also: ["psi", "PSI"] }],
  ["m[H2O]", { kind: "pressure", factor: 9_806.65, also: ["mH2O", "mWC", "mwc"] }],
  ["cm[H2O]", { kind: "pressure", factor: 980_665, divisor: 10_000, also: ["cmH2O"] }],
  ["mm[Hg]", { kind: "pressure", factor: 133.322, also: ["mmHg"] }],
  // Volume flow, in cubic metres an hour.
  ["m3/h", { kind: "flow", factor: 1, also: ["m³/h", "m^3/h", "m3/hr", "cmh"] }],
  ["m3/s", { kind: "flow", factor: 3_600, also: ["m³/s", "m^3/s"] }],
  ["m3/d", { kind: "flow", factor: 1, divisor: 24, also: ["m³/d", "m3/day"] }],
  ["L/s", { kind: "flow", factor: 36, divisor: 10, also: ["l/s", "lps"] }],
  ["L/min", { kind: "flow", factor: 6, divisor: 100, also: ["l/min", "lpm", "LPM"] }],
  ["L/h", { kind: "flow", factor: 1, divisor: 1_000, also: ["l/h"] }],
  ["[gal_us]/min", { kind: "flow", factor: 22_712_470_704, divisor: 100_000_000_000, also: ["gpm", "GPM"] }],
  // Volume, in litres.
  ["L", { kind: "volume", factor: 1, also: ["l", "dm3"] }],
  ["mL", { kind: "volume", factor: 1, divisor: 1_000, also: ["ml", "cm3"] }],
  ["m3", { kind: "volume", factor: 1_000, also: ["m³", "m^3"] }],
  ["[gal_us]", { kind: "volume", factor: 3_785_411_784, divisor: 1_000_000_000, also: ["gal"] }],
  ["[cft_i]", { kind: "volume", factor: 28_316_846_592, divisor: 1_000_000_000, also: ["ft3", "ft³"] }],
  // Temperature, in kelvins.
  ["K", { kind: "temperature", factor: 1 }],
  ["Cel", { kind: "temperature", factor: 1, offset: 273.15, also: ["°C", "C", "celsius", "degC", "℃"] }],
  ["[degF]", { kind: "temperature", factor: 5, divisor: 9, offset: 45_967 / 180, also: ["°F", "degF", "℉"] }],
  // Level and other lengths, in metres.
  ["m", { kind: "length", factor: 1 }],
  ["cm", { kind: "length", factor: 1, divisor: 100 }],
  ["mm", { kind: "length", factor: 1, divisor: 1_000 }],
  ["km", { kind: "length", factor: 1_000 }],
  ["[in_i]", { kind: "length", factor: 254, divisor: 10_000, also: ["in", "inch"] }],
  ["[ft_i]", { kind: "length", factor: 3_048, divisor: 10_000, also: ["ft"] }],
  // Shares, as a ratio. SenML writes `/` for a ratio and has names of its own for percents of something.
  ["1", { kind: "ratio", factor: 1, also: ["/"] }],
  ["%", { kind: "ratio", factor: 1, divisor: 100, also: ["%RH", "%EL", "percent", "pct"] }],
  ["[ppth]", { kind: "ratio", factor: 1, divisor: 1_000, also: ["‰", "permille"] }],
  ["[ppm]", { kind: "ratio", factor: 1, divisor: 1_000_000, also: ["ppm"] }],
  // Electricity.
  ["V", { kind: "voltage", factor: 1 }],
  ["mV", { kind: "voltage", factor: 1, divisor: 1_000 }],
  ["A", { kind: "current", factor: 1 }],
  ["mA", { kind: "current", factor: 1, divisor: 1_000 }],
  ["W", { kind: "power", factor: 1 }],
  ["kW", { kind: "power", factor: 1_000 }],
  ["W.h", { kind: "energy", factor: 1, also: ["Wh"] }],
  ["kW.h", { kind: "energy", factor: 1_000, also: ["kWh"] }],
  // Time.
  ["s", { kind: "time", factor: 1 }],
  ["ms", { kind: "time", factor: 1, divisor: 1_000 }],
  ["min", { kind: "time", factor: 60 }],
  ["h", { kind: "time", factor: 3_600 }]
])

const names: ReadonlyMap<string, string> = new Map(
  [...units].flatMap(([code, unit]) => (unit.also ?? []).map((name) => [name, code] as const))
)

/** The UCUM code of a unit's name; a name that is not known stays as it is. */
export const ucum = (name: string): string => names.get(name) ?? name

/**
 * The value in another unit, or undefined where one of the two is not known, they measure different things or no double holds the
 * result. What is equal by definition comes out equal to the last digit of a double or the one beside it.
 */
export const convert = (value: number, from: string, to: string): number | undefined => {
  const [source, target] = [ucum(from), ucum(to)]
  if (source === target) return value
  const [a, b] = [units.get(source), units.get(target)]
  if (a === undefined || b === undefined || a.kind !== b.kind) return undefined
  const base = (value * a.factor * (b.divisor ?? 1)) / ((a.divisor ?? 1) * b.factor)
  if (!Number.isFinite(base)) return undefined
  if (a.offset === undefined && b.offset === undefined) return base
  const kelvin = (value * a.factor) / (a.divisor ?? 1) + (a.offset ?? 0)
  const converted = ((kelvin - (b.offset ?? 0)) * (b.divisor ?? 1)) / b.factor
  // A difference of two numbers near 300 ends in noise that no thermometer has.
  return Math.round(converted * 1e9) / 1e9
}
