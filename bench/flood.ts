/**
 * Devices that send far more than can be taken, for ten minutes: to the city's own broker, whose PUBACK says that a reading is stored. Sent is as
 * much as the connections take, which must slow them down, not fill the memory. In the end every acknowledged reading is stored. Arguments:
 * `--minutes=10`, `--connections=100`, `--window=1000` messages of a connection in flight, `--devices=1000`.
 */
import { cpuOf, resident } from "./http/processes.ts"
import { figure, quantile } from "./measure.ts"
import { numberOf, onStage } from "./telemetry/stage.ts"

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const minutes = numberOf(args, "minutes", 10)
  const connections = numberOf(args, "connections", 100)
  const window = numberOf(args, "window", 1000)
  // So short a step that the devices' clocks stay within what is believed.
  await onStage(
    { devices: Math.max(connections, numberOf(args, "devices", 1000)), values: 1, step: 1 },
    async (stage) => {
      const { ours, ownPort, publish, sql } = stage
      stage.floor.halt()
      const flood = (seconds: number, from: number) =>
        publish({ port: ownPort, prefix: "", count: 1_000_000_000, connections, window, seconds, from })
      // Until everything has been compiled and every device is known.
      const warm = await flood(20, 0)
      const memory: Array<number> = []
      figure("flood", "resident before, warm", "MB", await resident(ours.pid))
      const cpu = await cpuOf(ours.pid)
      const watch = setInterval(() => {
        void resident(ours.pid).then((now) => {
          memory.push(now)
          if (memory.length % 30 === 0)
            console.error(JSON.stringify({ seconds: memory.length, resident: Math.round(now) }))
        })
      }, 1000)
      const { acknowledged, seconds, sent } = await flood(minutes * 60, connections * 60_000)
      clearInterval(watch)
      const [row] = await sql<{ stored: number }>("select count(*)::float8 as stored from mahalla.reading")
      const third = Math.floor(memory.length / 3)
      figure("flood", "acknowledged a second", "readings/s", acknowledged / seconds)
      figure(
        "flood",
        "acknowledged and not stored",
        "readings",
        Math.max(0, warm.acknowledged + acknowledged - row!.stored),
        0
      )
      figure("flood", "sent and not acknowledged when it ended", "readings", sent - acknowledged)
      figure("flood", "resident, median of the first third", "MB", quantile(memory.slice(0, third), 0.5))
      figure("flood", "resident, median of the last third", "MB", quantile(memory.slice(-third), 0.5))
      figure("flood", "resident, most", "MB", Math.max(...memory))
      figure("flood", "CPU of the city a reading", "ms", ((await cpuOf(ours.pid)) - cpu) / acknowledged)
    }
  )
}
