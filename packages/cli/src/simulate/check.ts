/** What a city has of a fleet, compared with what it has acknowledged: for each datastream the number of readings and a sum over all of them. */
import type { Client } from "../demo/client.ts"
import { addReading, type Sum, type Tally } from "./Tally.ts"

export interface Window {
  /** Epoch milliseconds, with the first and without the last. */
  readonly from: number
  readonly to: number
}

interface Datastream {
  readonly device: number
  readonly id: string
  readonly key: string
}

const datastreamsOf = async (client: Client, ids: ReadonlyArray<string>): Promise<ReadonlyArray<Datastream>> => {
  const numbers = new Map(ids.map((id, number) => [id, number]))
  const found: Array<Datastream> = []
  for (let done = 0; done < ids.length; done += 1000) {
    const { items } = await client.post<{
      readonly items: ReadonlyArray<{ readonly deviceId: string; readonly datastreamId: string; readonly key: string }>
    }>("/v1/readings/latest", { devices: ids.slice(done, done + 1000) })
    for (const { datastreamId, deviceId, key } of items)
      found.push({ device: numbers.get(deviceId)!, id: datastreamId, key })
  }
  return found
}

const sumOf = async (client: Client, datastream: string, { from, to }: Window): Promise<Sum> => {
  const span = `from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}&limit=5000`
  const sum: Sum = { readings: 0, check: 0 }
  let cursor = ""
  do {
    const page = await client.get<{
      readonly items: ReadonlyArray<{ readonly at: string; readonly value: number }>
      readonly cursor?: string
    }>(`/v1/datastreams/${datastream}/readings?${span}${cursor}`)
    for (const { at, value } of page.items) addReading(sum, Date.parse(at), value)
    cursor = page.cursor === undefined ? "" : `&cursor=${encodeURIComponent(page.cursor)}`
  } while (cursor !== "")
  return sum
}

/** Sums of all datastreams of some devices, handed over one by one. */
const eachSum = async (
  client: Client,
  ids: ReadonlyArray<string>,
  window: (device: number) => Window,
  hear: (datastream: Datastream, sum: Sum) => void
): Promise<void> => {
  const all = await datastreamsOf(client, ids)
  let next = 0
  const work = async () => {
    for (let one = all[next++]; one !== undefined; one = all[next++]) {
      const span = window(one.device)
      if (span.from < span.to) hear(one, await sumOf(client, one.id, span))
    }
  }
  await Promise.all(Array.from({ length: 8 }, work))
}

export interface Comparison {
  /** Readings that were acknowledged, and that are there. */
  readonly acknowledged: number
  readonly stored: number
  /** Datastreams that differ, in words; at most 20. */
  readonly differences: ReadonlyArray<string>
}

/** `before`: what was there already in the windows. */
export const compare = async (
  client: Client,
  ids: ReadonlyArray<string>,
  names: ReadonlyArray<string>,
  tally: Tally,
  window: (device: number) => Window,
  before: ReadonlyMap<string, Sum>
): Promise<Comparison> => {
  let acknowledged = 0
  let stored = 0
  const differences: Array<string> = []
  await eachSum(client, ids, window, ({ device, id, key }, sum) => {
    const base = before.get(id) ?? { readings: 0, check: 0 }
    const told = tally.of(device, key)
    const readings = sum.readings - base.readings
    acknowledged += told.readings
    stored += readings
    if ((readings !== told.readings || (sum.check - base.check) >>> 0 !== told.check) && differences.length < 20)
      differences.push(`${names[device]!} ${key}: ${told.readings} acknowledged, ${readings} stored`)
  })
  return { acknowledged, stored, differences }
}

/** What is there already. */
export const present = async (
  client: Client,
  ids: ReadonlyArray<string>,
  window: (device: number) => Window
): Promise<Map<string, Sum>> => {
  const sums = new Map<string, Sum>()
  await eachSum(client, ids, window, ({ id }, sum) => sums.set(id, sum))
  return sums
}
