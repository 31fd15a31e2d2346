/**
 * Payloads are made by `sparkplug-payload`, Eclipse Tahu's encoder. Tests that begin with a statement's id of the Sparkplug 3.0
 * specification (without `tck-id-`) hold the host to it.
 */
import * as Result from "effect/Result"
import { get } from "sparkplug-payload"
import type { UMetric } from "sparkplug-payload/lib/sparkplugbpayload.js"
import { describe, expect, test } from "vitest"
import { type EdgeNodeState, newEdgeNode, type Step, step } from "./step.ts"

const now = Date.UTC(2026, 10, 20, 10)
const told = now - 500
const tahu = get("spBv1.0")!

const send = (
  state: EdgeNodeState,
  type: string,
  seq: number | undefined,
  metrics: ReadonlyArray<Partial<UMetric>>,
  options: { readonly device?: string; readonly receivedAt?: number; readonly group?: string } = {}
): Step => {
  const payload = tahu.encodePayload({
    timestamp: told,
    metrics: metrics as Array<UMetric>,
    ...(seq === undefined ? {} : { seq })
  })
  const topic = [
    "spBv1.0",
    options.group ?? "Plant",
    type,
    "edge-1",
    ...(options.device === undefined ? [] : [options.device])
  ].join("/")
  const result = Result.getOrThrow(step(state, { topic, payload, receivedAt: options.receivedAt ?? now }))
  // Durable: what comes back from the database is what was put in.
  return { ...result, state: JSON.parse(JSON.stringify(result.state)) as EdgeNodeState }
}

const bdSeq = { name: "bdSeq", type: "UInt64", value: 3 } as const
const pressure = { name: "Pressure", alias: 1, type: "Float", value: 4.5 } as const
const flow = { name: "Flow Rate", alias: 2, type: "Int16", value: -7 } as const
const born = () =>
  send(newEdgeNode, "NBIRTH", 0, [bdSeq, pressure, { name: "Node Control/Rebirth", type: "Boolean", value: false }])
const bornWithDevice = () => send(born().state, "DBIRTH", 1, [flow], { device: "pump" })

test("alias_0_and_a_time_of_0_are_there", () => {
  const metric = { name: "zero", alias: 0, type: "Int32", value: 1, timestamp: 0 } as UMetric
  const { decoding, state } = send(newEdgeNode, "NBIRTH", 0, [metric])
  expect(state.aliases).toEqual({ "0": "/zero" })
  expect(decoding.readings).toEqual([{ key: "zero", at: 0, value: 1 }])
})

describe("births", () => {
  test("of_ever_new_devices_are_not_kept_without_end", () => {
    const metrics = Array.from({ length: 200 }, (_, place) => ({
      name: `${place}${"x".repeat(1000)}`,
      type: "Int8" as const,
      value: 1
    }))
    let { state } = born()
    const refusals: Array<string> = []
    for (let device = 0; device < 40; device++) {
      const payload = tahu.encodePayload({ timestamp: told, seq: device + 1, metrics })
      const result = step(state, { topic: `spBv1.0/Plant/DBIRTH/edge-1/d${device}`, payload, receivedAt: now })
      if (Result.isSuccess(result)) state = result.success.state
      else refusals.push(result.failure.reason)
    }
    expect(JSON.stringify(state).length).toBeLessThan(5_000_000)
    expect(new Set(refusals)).toEqual(new Set(["too-large"]))
  })

  test("name_metrics_and_carry_their_values", () => {
    const { ask, decoding, state } = born()
    expect(decoding.readings).toEqual([{ key: "Pressure", at: told, value: 4.5 }])
    expect(decoding.statuses).toEqual([{ at: told }])
    expect(state).toMatchObject({ online: true, bdSeq: 3, seq: 0, aliases: { "1": "/Pressure" } })
    expect(ask).toBeUndefined()
  })

  test("of_a_device_are_the_devices", () => {
    const { decoding, state } = bornWithDevice()
    expect(decoding.readings).toEqual([{ device: "pump", key: "Flow_Rate", at: told, value: -7 }])
    expect(state.devices).toEqual(["pump"])
  })

  test("again_forget_what_was_before", () => {
    const { state } = send(bornWithDevice().state, "NBIRTH", 0, [bdSeq, { ...pressure, alias: 9 }])
    expect(state).toMatchObject({ aliases: { "9": "/Pressure" }, devices: [], types: { "/Pressure": 9 } })
    expect(Object.keys(state.types)).not.toContain("pump/Flow Rate")
  })
})

describe("data", () => {
  test("by_alias_alone_is_read_with_the_births_name_and_type", () => {
    const { ask, decoding } = send(bornWithDevice().state, "DDATA", 2, [{ alias: 2, type: "Int16", value: -8 }], {
      device: "pump"
    })
    expect(decoding.readings).toEqual([{ device: "pump", key: "Flow_Rate", at: told, value: -8 }])
    expect(ask).toBeUndefined()
  })

  test("payloads-metric-is-historical: is stored and does not move the last value", () => {
    const { decoding } = send(born().state, "NDATA", 1, [
      { ...pressure, value: 4, isHistorical: true, timestamp: 5 } as UMetric
    ])
    expect(decoding.readings).toEqual([{ key: "Pressure", at: 5, value: 4, historical: true }])
  })

  test("that_is_null_or_transient_is_left_out", () => {
    const metrics = [
      { ...pressure, value: null },
      { name: "Level", type: "Float", value: 1, isTransient: true } as UMetric
    ]
    const { decoding } = send(born().state, "NDATA", 1, metrics)
    expect(decoding.readings).toEqual([])
    expect(decoding.warnings).toHaveLength(2)
  })

  test("of_a_metric_that_says_its_own_name_and_type_needs_no_birth", () => {
    const { ask, decoding } = send(newEdgeNode, "NDATA", 9, [{ name: "Level", type: "Double", value: 2 }])
    expect(decoding.readings).toEqual([{ key: "Level", at: told, value: 2 }])
    expect(ask).toBeDefined()
  })
})

describe("an alias", () => {
  const byAlias = [{ alias: 1, type: "Float", value: 9 }] as const
  const death = (state: EdgeNodeState) => send(state, "NDEATH", undefined, [bdSeq]).state

  test("means_nothing_after_a_death_whose_birth_was_not_heard", () => {
    const after = send(death(born().state), "NDATA", 1, byAlias)
    expect(after.decoding).toMatchObject({ readings: [], rejected: [{ reason: "unknown-datastream" }] })
    expect(after.ask).toBeDefined()
    expect(send(after.state, "NDATA", 2, byAlias, { receivedAt: now + 120_000 }).decoding.readings).toEqual([])
    const { state } = send(after.state, "NBIRTH", 0, [bdSeq, pressure])
    expect(send(state, "NDATA", 1, byAlias).decoding.readings).toMatchObject([{ key: "Pressure", value: 9 }])
  })

  test("is_not_sure_after_lost_messages_until_a_birth_or_a_minute_without_one", () => {
    const gap = send(born().state, "NDATA", 5, byAlias)
    expect(gap.decoding.readings).toEqual([])
    const next = send(gap.state, "NDATA", 6, [...byAlias, pressure])
    expect(next.decoding.readings).toMatchObject([{ key: "Pressure", value: 4.5 }])
    // It does not know how to be born again: there is nothing to wait for.
    const late = send(next.state, "NDATA", 7, byAlias, { receivedAt: now + 60_000 })
    expect(late.decoding.readings).toMatchObject([{ key: "Pressure", value: 9 }])
  })
})

describe("an edge node of another group", () => {
  test("is_not_taken_for_one_of_the_same_name", () => {
    const { state } = born()
    const topic = "spBv1.0/South/NDATA/edge-1"
    const payload = tahu.encodePayload({ timestamp: told, seq: 1, metrics: [{ alias: 1, type: "Float", value: 7 }] })
    expect(step(state, { topic, payload, receivedAt: now })).toMatchObject({ failure: { reason: "not-allowed" } })
    const births = tahu.encodePayload({ timestamp: told, seq: 0, metrics: [bdSeq, flow] })
    const birth = { topic: "spBv1.0/South/NBIRTH/edge-1", payload: births, receivedAt: now }
    expect(Result.isFailure(step(state, birth))).toBe(true)
    // When the first one is gone its place is free.
    const gone = send(state, "NDEATH", undefined, [bdSeq]).state
    expect(Result.getOrThrow(step(gone, birth)).state.node).toBe("South/edge-1")
  })
})

describe("asks for a birth", () => {
  const rebirth = (result: Step) => {
    expect(result.ask?.topic).toBe("spBv1.0/Plant/NCMD/edge-1")
    return tahu.decodePayload(result.ask!.payload)
  }

  test("operational-behavior-host-reordering-rebirth: after a gap in seq", () => {
    const result = send(born().state, "NDATA", 2, [pressure])
    expect(rebirth(result).metrics).toMatchObject([{ name: "Node Control/Rebirth", type: "Boolean", value: true }])
    expect(rebirth(result)).not.toHaveProperty("seq")
    // What came is not lost for it.
    expect(result.decoding.readings).toHaveLength(1)
  })

  test("payloads-alias-birth-requirement: for an alias that no birth has named", () => {
    const result = send(born().state, "NDATA", 1, [{ alias: 7, type: "Float", value: 1 }, pressure])
    rebirth(result)
    expect(result.decoding).toMatchObject({
      readings: [{ key: "Pressure" }],
      rejected: [{ reason: "unknown-datastream" }]
    })
  })

  test("for_data_of_a_device_that_was_not_born", () => {
    rebirth(send(born().state, "DDATA", 1, [flow], { device: "pump" }))
  })

  test("for_an_alias_of_another_device", () => {
    const { decoding } = send(bornWithDevice().state, "NDATA", 2, [{ alias: 2, type: "Int16", value: 1 }])
    expect(decoding).toMatchObject({ readings: [], rejected: [{ reason: "unknown-datastream" }] })
  })

  test("once_and_again_after_a_minute_without_one", () => {
    const first = send(newEdgeNode, "NDATA", 9, [pressure])
    const second = send(first.state, "NDATA", 10, [pressure], { receivedAt: now + 59_999 })
    const third = send(second.state, "NDATA", 11, [pressure], { receivedAt: now + 60_000 })
    expect([first.ask, second.ask, third.ask].map((ask) => ask !== undefined)).toEqual([true, false, true])
    expect(send(third.state, "NBIRTH", 0, [bdSeq, pressure]).state.askedAt).toBeUndefined()
  })
})

test("payloads-sequence-num-incrementing: after 255 comes 0", () => {
  let { state } = born()
  for (let seq = 1; seq <= 600; seq++) {
    const next = send(state, "NDATA", seq % 256, [{ alias: 1, type: "Float", value: seq }])
    expect(next.ask).toBeUndefined()
    state = next.state
  }
})

describe("deaths", () => {
  const death = (value: number) => ({ ...bdSeq, value })

  test("operational-behavior-edge-node-termination-host-action-ndeath-node-offline, -devices-offline: at the host's own time", () => {
    const { ask, decoding, state } = send(bornWithDevice().state, "NDEATH", undefined, [death(3)])
    expect(decoding.statuses).toEqual([
      { at: now, offline: true },
      { device: "pump", at: now, offline: true }
    ])
    expect(state).toMatchObject({ online: false, devices: [] })
    expect(ask).toBeUndefined()
  })

  test("payloads-ndeath-bdseq: of an earlier connection are not this one's", () => {
    const { decoding, state } = send(born().state, "NDEATH", undefined, [death(2)])
    expect(decoding.statuses).toEqual([])
    expect(decoding.warnings).toHaveLength(1)
    expect(state.online).toBe(true)
  })

  test("operational-behavior-edge-node-termination-host-action-ddeath-devices-offline: at the payload's time", () => {
    const { decoding, state } = send(bornWithDevice().state, "DDEATH", 2, [], { device: "pump" })
    expect(decoding.statuses).toEqual([{ device: "pump", at: told, offline: true }])
    expect(state).toMatchObject({ online: true, devices: [], seq: 2 })
  })

  test("data_after_a_death_asks_for_a_birth", () => {
    const dead = send(born().state, "NDEATH", undefined, [death(3)])
    expect(send(dead.state, "NDATA", 1, [pressure]).ask).toBeDefined()
  })
})

describe("values of type", () => {
  const table: ReadonlyArray<readonly [UMetric["type"], UMetric["value"], number]> = [
    ["Int8", -128, -128],
    ["Int16", -32_768, -32_768],
    ["Int32", -2_147_483_648, -2_147_483_648],
    ["Int64", -5, -5],
    ["UInt8", 255, 255],
    ["UInt16", 65_535, 65_535],
    ["UInt32", 4_294_967_295, 4_294_967_295],
    ["UInt64", 9_007_199_254_740_991, 9_007_199_254_740_991],
    ["Float", 0.5, 0.5],
    ["Double", 0.1, 0.1],
    ["Boolean", true, 1],
    ["Int8", 0, 0],
    ["Int64", 0, 0],
    ["UInt32", 0, 0],
    ["Float", 0, 0],
    ["Double", 0, 0],
    ["Boolean", false, 0]
  ]
  test.each(table)("%s: %s", (type, value, expected) => {
    expect(send(born().state, "NDATA", 1, [{ name: "x", type, value }]).decoding.readings).toMatchObject([
      { value: expected }
    ])
  })

  test.each([
    ["String", "open", "open"],
    ["Text", "a longer one", "a longer one"],
    ["UUID", "6f7e", "6f7e"],
    ["String", "", ""],
    ["DateTime", told, new Date(told).toISOString()]
  ] as const)("%s are attributes", (type, value, expected) => {
    const { statuses } = send(born().state, "NDATA", 1, [{ name: "x", type, value }]).decoding
    expect(statuses).toEqual([{ at: told, attributes: { x: expected } }])
  })

  test("DataSet_Template_and_Bytes_are_left_out_with_a_warning", () => {
    const table = { numOfColumns: 1, types: ["Int32"], columns: ["a"], rows: [[1]] }
    const { decoding } = send(born().state, "NDATA", 1, [
      { name: "table", type: "DataSet", value: table as never },
      { name: "template", type: "Template", value: { isDefinition: false, metrics: [pressure] } as never },
      { name: "bytes", type: "Bytes", value: Uint8Array.of(1) },
      pressure
    ])
    expect(decoding.readings).toMatchObject([{ key: "Pressure" }])
    expect(decoding.warnings).toHaveLength(3)
  })
})

describe("topics", () => {
  const at = (topic: string) => step(newEdgeNode, { topic, payload: Uint8Array.of(), receivedAt: now })
  test.each(["spBv1.0/STATE/host", "spBv1.0/Plant/NCMD/edge-1", "spBv1.0/Plant/DCMD/edge-1/pump"])(
    "%s is none of ours",
    (topic) => {
      expect(Result.getOrThrow(at(topic)).state).toEqual(newEdgeNode)
    }
  )
  test.each([
    "spAv1.0/Plant/NDATA/e",
    "spBv1.0/Plant/NDATA/e/d",
    "spBv1.0/Plant/DDATA/e",
    "spBv1.0/Plant/X/e",
    "spBv1.0"
  ])("%s is refused", (topic) => {
    expect(Result.merge(at(topic))).toMatchObject({ reason: "malformed" })
  })
})
