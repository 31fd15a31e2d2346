/**
 * Readings over HTTP in batches, each answered after the commit, beside the same city taking single readings from Mosquitto (`ingest-mqtt`).
 * Both are checked, kept, judged and derived from alike. Arguments: `--rounds=9`, `--batch=500` readings in a request, `--requests=240` a turn,
 * `--connections=16`, `--devices=1000`, `--profile=FOLDER`.
 */
import { interleave, report, type Sample } from "./measure.ts"
import { startClient } from "./http/processes.ts"
import { costOf, drainOurs, numberOf, onStage, profiling, type Stage, untilTaken } from "./telemetry/stage.ts"

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const batch = numberOf(args, "batch", 500)
  const requests = numberOf(args, "requests", 240)
  const connections = numberOf(args, "connections", 16)
  const devices = numberOf(args, "devices", 1000)
  const rounds = numberOf(args, "rounds", 9)
  const client = startClient()
  const post = async (stage: Stage): Promise<Sample> => {
    const { ours, sending } = stage
    const amount = requests * batch
    const facts = {
      ...{ devices: String(devices), batch: String(batch) },
      ...{ step: String(sending.step), start: String(sending.start) }
    }
    const { database, done, server } = await costOf(stage, ours.pid, () =>
      untilTaken(stage, amount, async () => {
        await client.run({ shape: "readings", port: ours.ready.port, facts, connections, seconds: 600, requests })
      })
    )
    return {
      stored: amount / done.stored,
      derived: amount / done.derived,
      server: server / amount,
      database: database / amount
    }
  }
  try {
    await onStage({ devices, values: 1, step: 20, flags: profiling(args) }, async (stage) => {
      stage.floor.halt()
      const drain = () => drainOurs(stage, requests * batch - 1)
      await post(stage)
      await drain()
      const samples = await interleave({ http: () => post(stage), mqtt: drain }, rounds)
      const compare = { bench: "ingest-http", ours: samples.http, floor: samples.mqtt }
      const against = "the same city, one reading in a message of Mosquitto"
      report({ ...compare, against, metric: "stored", unit: "readings/s" })
      report({ ...compare, against, metric: "derived", unit: "readings/s" })
      report({ ...compare, against, metric: "server", unit: "ms of the city's CPU per reading", better: "lower" })
      report({ ...compare, against, metric: "database", unit: "ms of PostgreSQL's CPU per reading", better: "lower" })
    })
  } finally {
    client.stop()
  }
}
