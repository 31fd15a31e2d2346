/**
 * Readings of an outside Mosquitto on their way into the database: QoS 1, acknowledged after the commit. Ours checks each reading, keeps the message,
 * last values and roll-ups, and runs detection and twenty rules on every device; beside it a bare consumer that inserts and acknowledges, nothing
 * else. Each turn drains a backlog that was published while the consumer was halted; `derived` is done when the last value, minute, anomaly and
 * alert of the last reading is there too. Beside them Node-RED with a batched flow, which acknowledges before it stores. Arguments: `--rounds=9`, `--count=119999` messages a turn, `--values=1` readings in a message,
 * `--devices=1000`, `--profile=FOLDER`.
 */
import { interleave, report } from "./measure.ts"
import { drainFloor, drainOurs, drainTeller, numberOf, onStage, profiling } from "./telemetry/stage.ts"

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const count = numberOf(args, "count", 119_999)
  const values = numberOf(args, "values", 1)
  const devices = numberOf(args, "devices", 1000)
  const rounds = numberOf(args, "rounds", 9)
  await onStage({ devices, values, step: 100, flags: profiling(args) }, async (stage) => {
    // Until everything has been compiled.
    await drainOurs(stage, count)
    await drainFloor(stage, count)
    const nodeRed = await stage.peer("nodeRed.ts", "red/")
    const drainNodeRed = drainTeller("red/", () => nodeRed)
    await drainNodeRed(stage, count)
    const samples = await interleave(
      {
        ours: () => drainOurs(stage, count),
        floor: () => drainFloor(stage, count),
        nodeRed: () => drainNodeRed(stage, count)
      },
      rounds
    )
    const against = "a bare consumer with deferred PUBACK and UNNEST"
    const compare = { bench: "ingest-mqtt", ours: samples.ours, floor: samples.floor, against }
    report({ ...compare, metric: "stored", unit: "readings/s" })
    report({ ...compare, metric: "derived", unit: "readings/s" })
    report({ ...compare, metric: "server", unit: "ms of the consumer's CPU per reading", better: "lower" })
    const beside = { bench: "ingest-mqtt", ours: samples.ours, floor: samples.nodeRed, against: "Node-RED, batched" }
    report({ ...beside, metric: "stored", unit: "readings/s" })
    report({ ...beside, metric: "derived", unit: "readings/s" })
    report({ ...compare, metric: "database", unit: "ms of PostgreSQL's CPU per reading", better: "lower" })
  })
}
