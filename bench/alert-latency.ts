/**
 * From a device's PUBLISH to the alert on a screen, at 10,000 readings a second through Mosquitto: from the moment at which the publisher wrote the
 * frame to the one at which a WebSocket on `/v1/live`, opened as a browser opens it, has `alert.created`. Arguments: `--rate=10000`,
 * `--seconds=60`, `--devices=2000`, `--every=977` messages between two alarms.
 */
import { cpuOf } from "./http/processes.ts"
import { figure, quantile } from "./measure.ts"
import { numberOf, onStage, profiling } from "./telemetry/stage.ts"

/** When a screen heard of each alert's case, by its id. */
const watch = async (port: number, token: string) => {
  const heard = new Map<string, number>()
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/live`)
  const begun = new Promise<void>((resolve, reject) => {
    socket.addEventListener("error", () => reject(new Error("The screen's connection failed")))
    socket.addEventListener("close", ({ reason }) => reject(new Error(`The screen's connection was closed: ${reason}`)))
    socket.addEventListener("open", () => socket.send(JSON.stringify({ token })))
    socket.addEventListener("message", ({ data }) => {
      const now = Date.now()
      const message = JSON.parse(String(data))
      if (message.problem !== undefined) reject(new Error(JSON.stringify(message)))
      else if (message.principal !== undefined)
        socket.send(JSON.stringify({ subscribe: { id: "alerts", to: "events", types: ["alert.created"] } }))
      else if (message.event === undefined) resolve()
      else heard.set(message.event.case.id, now)
    })
  })
  await begun
  return { heard, close: () => socket.close() }
}

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const rate = numberOf(args, "rate", 10_000)
  const seconds = numberOf(args, "seconds", 60)
  const devices = numberOf(args, "devices", 2000)
  const alarmEvery = numberOf(args, "every", 977)
  const step = Math.round((devices / rate) * 1000)
  await onStage({ devices, values: 1, step, flags: profiling(args) }, async (stage) => {
    const { brokerPort, ours, publish, sql } = stage
    stage.floor.halt()
    const load = { port: brokerPort, prefix: "ours/", rate }
    await publish({ ...load, count: rate * 20 })
    const screen = await watch(ours.ready.port, ours.ready.token)
    const cpu = await cpuOf(ours.pid)
    const { acknowledged, alarms, seconds: took } = await publish({ ...load, count: rate * seconds, alarmEvery })
    const used = (await cpuOf(ours.pid)) - cpu
    await new Promise((later) => setTimeout(later, 5000))
    screen.close()
    const cases = await sql<{ id: string; name: string; at: number }>(
      `select id, data ->> 'originatorName' as name, extract(epoch from created_at)::float8 * 1000 as at
      from mahalla.civic_case where type = 'alert' order by id desc`
    )
    const raised = new Map(cases.map((one) => [one.name, one]))
    const times = (when: (alert: (typeof cases)[number]) => number | undefined) =>
      Object.entries(alarms).flatMap(([name, at]) => {
        const alert = raised.get(name)
        const then = alert === undefined ? undefined : when(alert)
        return then === undefined ? [] : [then - at]
      })
    const shown = times(({ id }) => screen.heard.get(id))
    const written = times(({ at }) => at)
    const arrived = await sql<{ name: string; at: number }>(
      `select d.name, extract(epoch from min(b.received_at))::float8 * 1000 as at from mahalla.reading r
      join mahalla.reading_batch b on b.tenant_id = r.tenant_id and b.batch = r.batch
      join mahalla.datastream s on s.tenant_id = r.tenant_id and s.number = r.datastream
      join mahalla.device d on d.tenant_id = s.tenant_id and d.id = s.device_id where r.value = 99 group by d.name`
    )
    const stored = arrived.flatMap(({ at, name }) => (alarms[name] === undefined ? [] : [at - alarms[name]]))
    figure("alert-latency", "published", "readings/s", acknowledged / took, rate)
    figure("alert-latency", "alarms", "", Object.keys(alarms).length)
    figure("alert-latency", "alarms that came to no screen", "", Object.keys(alarms).length - shown.length, 0)
    for (const share of [0.5, 0.99]) {
      const name = `p${share * 100}`
      figure("alert-latency", `publish to the transaction that stores it, ${name}`, "ms", quantile(stored, share))
      figure("alert-latency", `publish to the transaction of its alert, ${name}`, "ms", quantile(written, share))
    }
    for (const share of [0.5, 0.95, 0.99, 1])
      figure("alert-latency", `publish to a screen, p${share * 100}`, "ms", quantile(shown, share), 250)
    figure("alert-latency", "CPU of the city", "% of a core", used / (took * 10))
  })
}
