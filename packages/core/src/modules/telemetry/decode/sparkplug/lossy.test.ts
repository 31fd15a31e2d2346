/** A host that hears an edge node over a line which loses messages knows every value in the end. */
import * as fc from "fast-check"
import * as Result from "effect/Result"
import { get } from "sparkplug-payload"
import type { UMetric } from "sparkplug-payload/lib/sparkplugbpayload.js"
import { expect, test } from "vitest"
import { type EdgeNodeState, newEdgeNode, step } from "./step.ts"

const tahu = get("spBv1.0")!
/** Two metrics of the edge node itself, two of a device. */
const names = ["a", "b", "pump/c", "pump/d"]

type Action =
  | { readonly kind: "data"; readonly metric: number; readonly value: number }
  /** The next message is lost on the way. */
  | { readonly kind: "lose" }
  /** The connection breaks: the broker sends the death, the edge node is born again with other aliases. */
  | { readonly kind: "reconnect" }

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("data" as const), metric: fc.nat(3), value: fc.integer() }) },
  { weight: 2, arbitrary: fc.constant({ kind: "lose" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "reconnect" as const }) }
)

const play = (actions: ReadonlyArray<Action>) => {
  const values = [0, 0, 0, 0]
  const known = new Map<string, number>()
  const wrong: Array<string> = []
  let [seq, bdSeq, losing, asked] = [0, 0, false, false]
  let now = 1_000_000
  let host: EdgeNodeState = newEdgeNode

  const metric = (index: number, born: boolean): UMetric => ({
    ...(born ? { name: names[index]!.replace("pump/", "") } : {}),
    // Numbers of an earlier connection, for other metrics.
    alias: (bdSeq + index) % 4,
    type: "Int64",
    value: values[index]!
  })
  const publish = (type: string, metrics: ReadonlyArray<UMetric>) => {
    // A request that was not answered is repeated after a minute.
    now += 61_000
    if (type === "NBIRTH") seq = 0
    const payload = tahu.encodePayload({ timestamp: now, metrics: [...metrics], ...(type === "NDEATH" ? {} : { seq }) })
    if (type !== "NDEATH") seq = (seq + 1) % 256
    if (losing && type !== "NDEATH") return void (losing = false)
    const topic = `spBv1.0/g/${type}/e${type.startsWith("D") ? "/pump" : ""}`
    const { ask, decoding, state } = Result.getOrThrow(step(host, { topic, payload, receivedAt: now }))
    host = JSON.parse(JSON.stringify(state)) as EdgeNodeState
    asked ||= ask !== undefined
    for (const { device, key, value } of decoding.readings) {
      const path = device === undefined ? key : `${device}/${key}`
      // Each metric's values are its own: what is read by a wrong alias shows at once.
      if (value !== 0 && Math.abs(value) % 4 !== names.indexOf(path)) wrong.push(`${path} ${value}`)
      known.set(path, value)
    }
  }
  const birth = () => {
    publish("NBIRTH", [{ name: "bdSeq", type: "UInt64", value: bdSeq }, metric(0, true), metric(1, true)])
    publish("DBIRTH", [metric(2, true), metric(3, true)])
  }
  const data = (index: number) => {
    publish(index < 2 ? "NDATA" : "DDATA", [metric(index, false)])
    while (asked) {
      asked = false
      birth()
    }
  }

  birth()
  for (const one of actions) {
    if (one.kind === "lose") losing = true
    else if (one.kind === "data") {
      values[one.metric] = Math.abs(one.value % 1_000_000) * 4 + one.metric
      data(one.metric)
    } else {
      publish("NDEATH", [{ name: "bdSeq", type: "UInt64", value: bdSeq }])
      bdSeq++
      birth()
    }
  }
  losing = false
  // The one message more by which a loss is noticed, of the edge node and of the device.
  data(0)
  data(2)
  return { values, wrong, known: names.map((name) => known.get(name)) }
}

test("knows_every_value_after_losses_and_reconnections", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const { known, values, wrong } = play(actions)
      expect([known, wrong]).toEqual([values, []])
    }),
    { numRuns: 500 }
  )
})
