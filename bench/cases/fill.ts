/**
 * Cases for lists, by SQL: newest last, as they come in life. A part of them lies in one city, the rest over a country of the same density
 * as the small table's city, so that there are boxes that hold as many cases at any size, and boxes that hold as many times more.
 */
import pg from "pg"
import { cellOf } from "../../packages/core/src/kernel/cases/geo.ts"

export interface Filling {
  readonly cases: number
  /** Of each hundred, so many lie in the city. */
  readonly inCity: number
  readonly tenantId: string
  readonly ownerId: string
}

/** 0.4° × 0.3°, about 34 × 33 km. */
export const cityBox = { west: 66.7, south: 39.5, width: 0.4, height: 0.3 }
/** Begins where the city ends; grows to the east with its cases, at the density of 10,000 in a city's area. */
const countryBox = (cases: number) => ({ west: 67.2, south: 37.5, width: (0.4 * 0.3 * cases) / 10_000 / 4, height: 4 })

/** Good enough for places, and the same each time. */
const numbers = (seed: number) => () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return seed / 2 ** 32
}

const batch = 10_000

export const fill = async (admin: string, filling: Filling): Promise<void> => {
  const client = new pg.Client({ connectionString: admin })
  await client.connect()
  await insert(client, filling).finally(() => client.end())
}

const insert = async (client: pg.Client, { cases, inCity, ownerId, tenantId }: Filling) => {
  // Rows that are right need no foreign keys checked one by one.
  await client.query("set session_replication_role = replica")
  const random = numbers(7)
  const country = countryBox((cases * (100 - inCity)) / 100)
  for (let from = 0; from < cases; from += batch) {
    const places = Array.from({ length: Math.min(batch, cases - from) }, (_, index) => {
      const box = index % 100 < inCity ? cityBox : country
      return { longitude: box.west + box.width * random(), latitude: box.south + box.height * random() }
    })
    await client.query(
      `insert into mahalla.civic_case (tenant_id, id, type, type_version, reference, state, phase, data, territory_id, longitude, latitude, h3,
         owner_id, search, created_at, updated_at)
       select $1, id, 'bench-report', 1, upper(lpad(to_hex(n), 8, '0')), state, case when state in ('submitted', 'working') then 'open' else 'closed' end,
         jsonb_build_object('title', title, 'description', description, 'category', (array['lights', 'roads', 'waste', 'water'])[n % 4 + 1]),
         territories[n % cardinality(territories) + 1], longitude, latitude, h3, case when n % 10 = 0 then $2::uuid end,
         to_tsvector('simple', title || ' ' || description), at, at
       from (
         select *, uuidv7(at - clock_timestamp()) as id,
           case when n % 50 = 0 then 'submitted' when n % 25 = 1 then 'working' else 'closed' end as state,
           'Report ' || n as title,
           -- One case in ten tells of a lamp, thirty in any table of a heron.
           case when n % 10 = 3 then 'The lamp at the corner is broken' else 'There is a hole in the street' end
             || case when n % greatest($3::int / 30, 1) = 5 then ' beside a heron' else '' end || ', please come and see number ' || md5(n::text) as description
         from (
           select $4::int + ordinality as n, timestamptz '2026-11-01' - make_interval(secs => ($3::int - $4::int - ordinality) * 8) as at, longitude, latitude, h3
           from unnest($5::float8[], $6::float8[], $7::bigint[]) with ordinality as place (longitude, latitude, h3, ordinality)
         ) placed
       ) told, (select array_agg(id) as territories from mahalla.territory where tenant_id = $1 and kind = 'district') areas`,
      [
        ...[tenantId, ownerId, cases, from],
        ...[places.map((place) => place.longitude), places.map((place) => place.latitude)],
        places.map((place) => String(cellOf(place)))
      ]
    )
    if (from % 100_000 === 0) console.error(`${from} of ${cases} cases`)
  }
  await client.query("vacuum analyze mahalla.civic_case")
}
