/**
 * What a reading costs on its way in (as in `ingest-mqtt`) when many are stored. Two cities, each with a PostgreSQL and a Mosquitto of its own, take
 * turns: one has 100,000 readings, the other `--rows=10000000`, of the same devices and backwards from now, put in by SQL. CPU per reading is the
 * steadier figure. Arguments: `--rounds=9`, `--count=19999` messages a turn, `--devices=1000`.
 */
import { figure, median, type Sample } from "./measure.ts"
import { drainOurs, numberOf, onStage, type Stage } from "./telemetry/stage.ts"

const week = 7 * 86_400_000
const perStatement = 1_000_000

const fill = async ({ ours, sending, sql }: Stage, rows: number) => {
  const streams = await sql<{ number: string }>(
    `select number::text from mahalla.datastream where key = 'p' order by number limit $1`,
    [sending.devices]
  )
  const numbers = streams.map(({ number }) => number)
  const minutes = Math.ceil(rows / numbers.length)
  for (let back = 0; back <= minutes * 60_000 + week; back += week)
    await sql(`select from mahalla.ensure_telemetry_partition('reading_90', to_timestamp($1::float8 / 1000))`, [
      sending.start - back
    ])
  const step = Math.ceil(perStatement / numbers.length)
  for (let from = 1; from <= minutes; from += step)
    await sql(
      `insert into mahalla.reading (tenant_id, datastream, at, sequence, value, batch, retention, quality)
      select $1, s.number, to_timestamp($2::float8 / 1000) - make_interval(mins => m), 0, 50 + 20 * sin(m / 200.0), 0, 90, 0
      from generate_series($3::int, $4::int) as m, unnest($5::bigint[]) as s (number)`,
      [ours.ready.tenantId, sending.start, from, Math.min(minutes, from + step - 1), numbers]
    )
  await sql("vacuum analyze mahalla.reading")
  await sql("checkpoint")
}

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const rounds = numberOf(args, "rounds", 9)
  const count = numberOf(args, "count", 19_999)
  const rows = numberOf(args, "rows", 10_000_000)
  const devices = numberOf(args, "devices", 1000)
  const options = { devices, values: 1, step: 100 }
  const play = async (few: Stage, many: Stage) => {
    const samples = { few: new Array<Sample>(), many: new Array<Sample>() }
    const cities = { few, many }
    for (const stage of [few, many]) stage.floor.halt()
    // Until everything has been compiled.
    for (let turn = 0; turn < 10; turn++) for (const stage of [few, many]) await drainOurs(stage, count)
    await fill(few, 100_000)
    await fill(many, rows)
    // The cache has seen the new tables.
    for (const stage of [few, many]) await drainOurs(stage, count)
    for (let round = 0; round < rounds; round++)
      for (const which of round % 2 === 0 ? (["few", "many"] as const) : (["many", "few"] as const)) {
        // Each page that is changed for the first time after it is written to the log whole.
        await cities[which].sql("checkpoint")
        samples[which].push(await drainOurs(cities[which], count))
        console.error(`${which} ${round + 1}/${rounds} ${JSON.stringify(samples[which].at(-1))}`)
      }
    const [size] = await many.sql<{ rows: number; bytes: number }>(
      `select sum(n_live_tup)::float8 as rows, sum(pg_total_relation_size(relid))::float8 as bytes
      from pg_stat_user_tables where relname like 'reading_90%'`
    )
    const costs = (which: "few" | "many", ...metrics: ReadonlyArray<string>) =>
      samples[which].map((sample) => metrics.reduce((sum, metric) => sum + (sample[metric] ?? Number.NaN), 0))
    const ratio = (...metrics: ReadonlyArray<string>) => {
      const [fewCosts, manyCosts] = [costs("few", ...metrics), costs("many", ...metrics)]
      return median(manyCosts.map((cost, round) => cost / fewCosts[round]!))
    }
    figure("scale", "rows", "", size!.rows)
    figure("scale", "bytes of a row with its index", "B", size!.bytes / size!.rows)
    figure("scale", "CPU of a reading, few rows", "ms", median(costs("few", "server", "database")))
    figure("scale", "CPU of a reading, many rows", "ms", median(costs("many", "server", "database")))
    figure("scale", "CPU, many ÷ few", "", ratio("server", "database"), 1.2)
    figure("scale", "PostgreSQL's CPU, many ÷ few", "", ratio("database"))
    figure("scale", "time, many ÷ few", "", 1 / ratio("derived"))
  }
  await onStage(options, (few) => onStage(options, (many) => play(few, many)))
}
