/**
 * Charts of a datastream that was measured once a minute for a year, asked over HTTP: the year, a month, a week, a day. The readings came over HTTP
 * too, so all roll-ups are the city's own. Beside them as many datastreams as `--streams=4` says. Arguments: `--requests=200` for each chart.
 */
import { figure, quantile } from "./measure.ts"
import { readingOf, tokenOf } from "./telemetry/readings.ts"
import { numberOf, onStage, untilTaken } from "./telemetry/stage.ts"

const minute = 60_000
const year = 365 * 1440
const part = 4380

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const streams = numberOf(args, "streams", 4)
  const requests = numberOf(args, "requests", 200)
  await onStage({ devices: streams, values: 1, step: minute, retention: 1825 }, async ({ ours, sql, ...stage }) => {
    stage.floor.halt()
    const url = `http://127.0.0.1:${ours.ready.port}`
    const end = Math.floor(Date.now() / minute) * minute
    const sending = { ...stage.sending, devices: 1, start: end - year * minute }
    await untilTaken({ ...stage, ours, sql }, streams * year, async () => {
      for (let from = 0; from < year; from += part)
        await Promise.all(
          Array.from({ length: streams }, async (_, device) => {
            const body = JSON.stringify(
              Array.from({ length: part }, (_, place) => readingOf(sending, from + place).body)
            )
            const answer = await fetch(`${url}/api/v1/${tokenOf(device)}/telemetry`, { method: "POST", body })
            if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`)
          })
        )
    })
    // Hours and days are written every half minute.
    for (let rows = 0; rows < streams * 8760;) {
      await new Promise((later) => setTimeout(later, 500))
      rows = (await sql<{ rows: number }>("select count(*)::int as rows from mahalla.reading_hour"))[0]!.rows
    }
    const headers = { authorization: `Bearer ${ours.ready.token}` }
    const [stream] = await sql<{ id: string }>(
      "select id from mahalla.datastream where key = 'p' order by number limit 1"
    )
    for (const [name, days] of [
      ["a year", 365],
      ["a month", 30],
      ["a week", 7],
      ["a day", 1]
    ] as const)
      for (const method of ["extremes", "triangles"]) {
        const times: Array<number> = []
        let points = 0
        for (let request = 0; request < requests; request++) {
          const span = `from=${new Date(end - days * 1440 * minute).toISOString()}&to=${new Date(end).toISOString()}`
          const began = performance.now()
          const answer = await fetch(`${url}/v1/datastreams/${stream!.id}/chart?${span}&points=1000&method=${method}`, {
            headers
          })
          if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`)
          const body = (await answer.json()) as { readonly points: ReadonlyArray<unknown> }
          times.push(performance.now() - began)
          points = body.points.length
        }
        figure("series", `${name}, ${method}, ${points} points, p50`, "ms", quantile(times, 0.5), 50)
        figure("series", `${name}, ${method}, ${points} points, p99`, "ms", quantile(times, 0.99))
      }
  })
}
