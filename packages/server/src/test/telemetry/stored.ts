/** What is in the database of what devices were told was. */
import type { Publisher } from "./publisher.ts"

type Query = <Row>(text: string) => Promise<ReadonlyArray<Row>>

export interface Stored {
  /** Readings, each counted once. */
  readonly stored: number
  /** Those that are there more than once. */
  readonly twice: ReadonlyArray<object>
  /** Device and place of those that were acknowledged and are not there. */
  readonly missing: ReadonlyArray<string>
}

/** `timeOf`: epoch milliseconds of a place. */
export const readStored = async (
  query: Query,
  publishers: ReadonlyMap<string, Publisher>,
  timeOf: (place: number) => number
): Promise<Stored> => {
  const rows = await query<{ device: string; at: number; readings: string }>(
    `select d.name as device, round(extract(epoch from r.at) * 1000)::float8 as at, count(*)::text as readings
     from mahalla.reading r join mahalla.datastream s on s.tenant_id = r.tenant_id and s.number = r.datastream
     join mahalla.device d on d.tenant_id = s.tenant_id and d.id = s.device_id group by 1, 2`
  )
  const there = new Set(rows.map(({ at, device }) => `${device} ${at}`))
  const missing = [...publishers].flatMap(([device, { acknowledged }]) =>
    [...acknowledged].filter((place) => !there.has(`${device} ${timeOf(place)}`)).map((place) => `${device} ${place}`)
  )
  return { stored: rows.length, twice: rows.filter(({ readings }) => readings !== "1"), missing }
}
