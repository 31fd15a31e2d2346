/**
 * Rules: CPU time of a reading with twenty rules on its device, of all kinds that readings run through, where nothing changes and where one
 * reading in a thousand goes beyond a threshold; what a device's state weighs in memory and as JSON; a dry run. Arguments:
 * `--devices=1000`, `--rounds=9`, `--readings=200000` per round. Give Node `--expose-gc` for the memory.
 */
import { compileRules } from "../packages/core/src/modules/telemetry/rules/compile.ts"
import { dryRun } from "../packages/core/src/modules/telemetry/rules/dryRun.ts"
import { evaluate } from "../packages/core/src/modules/telemetry/rules/evaluate.ts"
import type { DeviceFacts, ReadingFact } from "../packages/core/src/modules/telemetry/rules/facts.ts"
import { makeState } from "../packages/core/src/modules/telemetry/rules/state.ts"
import { encode } from "../packages/core/src/modules/telemetry/rules/store.ts"
import { figure, median } from "./measure.ts"
import { twentyRules as rules } from "./telemetry/rules.ts"

const tenant = { timeZone: "Asia/Tashkent", holidays: [] }

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const value = (name: string, otherwise: number) =>
    Number(args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1] ?? otherwise)
  const amount = value("devices", 1_000)
  const rounds = value("rounds", 9)
  const perRound = value("readings", 200_000)
  const devices = Array.from({ length: amount }, (_, place): DeviceFacts => ({
    ...{ id: `01a1fb96-0a6f-7324-b14e-${String(place).padStart(12, "0")}`, profile: "p", groups: [] },
    ...{ attributes: { high: 95, low: 5 }, expectedInterval: 60 }
  }))
  const compiled = compileRules(rules, tenant)
  const weigh = () => {
    globalThis.gc?.()
    const { arrayBuffers, heapUsed } = process.memoryUsage()
    return arrayBuffers + heapUsed
  }
  const empty = weigh()
  const state = makeState(compiled)
  evaluate(
    compiled,
    state,
    devices.map((device) => ({ kind: "device", at: 0, device }))
  )
  if (globalThis.gc !== undefined) figure("rules", `memory of a device, of ${amount}`, "B", (weigh() - empty) / amount)

  let now = 0
  const batches = (key: string, share: number): ReadonlyArray<ReadonlyArray<ReadingFact>> =>
    Array.from({ length: Math.ceil(perRound / 1_000) }, (_, batch) =>
      Array.from({ length: 1_000 }, (_, place): ReadingFact => {
        const turn = batch * 1_000 + place
        if (turn % amount === 0) now += 10_000
        const far = Math.random() < share
        return {
          ...{ kind: "reading", device: devices[turn % amount]!.id, key, at: now + (turn % amount) },
          value: far ? 96 + Math.random() : 20 + Math.random() * 60
        }
      })
    )
  for (const [name, share] of [
    ["nothing changes", 0],
    ["one in a thousand is beyond", 0.001]
  ] as const) {
    const costs: Array<number> = []
    for (let round = 0; round < rounds; round++) {
      const readings = batches("p", share)
      const cpu = process.cpuUsage()
      for (const batch of readings) evaluate(compiled, state, batch)
      const { system, user } = process.cpuUsage(cpu)
      costs.push(((system + user) * 1000) / (readings.length * 1_000))
    }
    figure("rules", `CPU of a reading under 20 rules, ${amount} devices, where ${name}`, "ns", median(costs), 2_000)
  }
  figure("rules", "state of a device as JSON", "B", JSON.stringify(encode(state, devices[0]!.id)).length)

  async function* pages() {
    for (const page of batches("p", 0.001)) yield page
  }
  const from = now
  const cpu = process.cpuUsage()
  const { readings } = await dryRun({
    rule: rules[1]!,
    tenant,
    devices,
    from,
    until: from + 86_400_000,
    pages: pages()
  })
  const { system, user } = process.cpuUsage(cpu)
  figure("rules", "CPU of a reading in a dry run, its page made meanwhile", "ns", ((system + user) * 1000) / readings)
}
