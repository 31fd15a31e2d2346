/** What the devices of the benchmarks send: message n is of device n modulo the number of devices, a step of time after that device's last. */

export interface Sending {
  readonly devices: number
  /** Epoch milliseconds of the first readings. */
  readonly start: number
  /** Milliseconds between two readings of a device. */
  readonly step: number
  /** Datastreams in a message, at most three. */
  readonly values: number
}

export const keys = ["p", "q", "r"] as const
export const deviceName = (place: number): string => `meter-${place}`
export const tokenOf = (place: number): string => `token-of-meter-${String(place).padStart(8, "0")}`

/** A slow day's curve with a little noise, between 20 and 80: nothing that a rule or detection looks up at. */
const valueOf = (at: number, device: number, place: number): number =>
  Math.round(500 + 200 * Math.sin(at / 13_751_000 + device + place) + ((at / 1000 + device * 7919) % 17)) / 10

export const readingOf = (sending: Sending, n: number) => {
  const device = n % sending.devices
  const ts = sending.start + Math.floor(n / sending.devices) * sending.step
  const values: Record<string, number> = {}
  for (let place = 0; place < sending.values; place++) values[keys[place]!] = valueOf(ts, device, place)
  return { device, body: { ts, values } }
}
