/** Our own shape, which loses nothing on the way: `{readings: [{key, at, value, sequence?, unit?, device?}]}`. */
import { type Gathering, isDeviceName, isRecord, isSequence, isTime, isUnit, type Place } from "./decoding.ts"
import { ucum } from "./units.ts"

/**
 * `at` in epoch milliseconds, default: when it was received; `value` a number or a boolean; `sequence` 0–4,294,967,295; `unit` in UCUM.
 * An entry with a mistake is rejected, the others count. `place` is for what an entry leaves out.
 */
export const readBatch = (into: Gathering, entries: ReadonlyArray<unknown>, place: Place): void => {
  for (const entry of entries) {
    const {
      key,
      at = place.at,
      value,
      sequence = place.sequence,
      unit,
      device = place.device
    } = isRecord(entry) ? entry : {}
    if (typeof key !== "string") into.reject("malformed", "An entry of readings has no key.")
    else if (device !== undefined && !isDeviceName(device)) into.reject("unknown-device", "No device has such a name.")
    else if (!isTime(at)) into.reject("malformed", "at is no time in epoch milliseconds.", { device })
    else if (sequence !== undefined && !isSequence(sequence))
      into.reject("malformed", "sequence is not a whole number from 0 to 4294967295.", { device })
    else if (unit !== undefined && !isUnit(unit))
      into.reject("wrong-unit", "unit is not a text of at most 50 characters.", { device })
    else {
      const measured = unit === undefined ? undefined : ucum(unit)
      into.reading({ device, at: Math.round(at), sequence, unit: measured }, key, value)
    }
  }
}
