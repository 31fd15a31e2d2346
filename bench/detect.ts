/**
 * What judging a reading costs: processor time for one of many datastreams, each in its turn as readings arrive, and for writing and reading a
 * state. Arguments: `--rounds=9`, `--datastreams=1000`, `--readings=1000000` a round.
 */
import {
  decodeState,
  detect,
  encodeState,
  freshState,
  utcOffsetIn
} from "../packages/core/src/modules/telemetry/detect/index.ts"
import { figure, median } from "./measure.ts"

const definition = {
  key: "pressure",
  title: "Pressure",
  unit: "bar",
  minimum: 0,
  maximum: 10,
  maxRate: 0.1,
  flatAfter: 7200,
  resolution: 0.01
}

export const run = (args: ReadonlyArray<string>): Promise<void> => {
  const value = (name: string, otherwise: number) =>
    Number(args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1] ?? otherwise)
  const [rounds, datastreams, readings] = [value("rounds", 9), value("datastreams", 1000), value("readings", 1_000_000)]
  const settings = { interval: 60, utcOffset: utcOffsetIn("Asia/Tashkent") }
  const values = Float64Array.from({ length: 99_991 }, () => 3 + 0.3 * Math.random())
  const states = Array.from({ length: datastreams }, freshState)
  let turn = 0
  /** Microseconds of processor time for each. */
  const each = (times: number, work: () => void): number => {
    const begin = process.cpuUsage()
    for (let time = 0; time < times; time++) work()
    const { system, user } = process.cpuUsage(begin)
    return (system + user) / times
  }
  const judge = () => {
    const at = 1.78e12 + Math.floor(turn / datastreams) * 60_000
    detect(definition, settings, states[turn % datastreams] ?? freshState(), {
      at,
      value: values[turn % values.length] ?? 3,
      receivedAt: at + 500
    })
    turn += 1
  }
  // The first day teaches; code is compiled meanwhile.
  each(1500 * datastreams, judge)
  const state = states[0] ?? freshState()
  const bytes = encodeState(state)
  const samples = Array.from({ length: rounds }, () => ({
    judge: each(readings, judge),
    write: each(20_000, () => encodeState(state)),
    read: each(20_000, () => decodeState(bytes))
  }))
  figure("detect", "a reading judged", "µs", median(samples.map((sample) => sample.judge)), 1)
  figure("detect", "a state written", "µs", median(samples.map((sample) => sample.write)))
  figure("detect", "a state read", "µs", median(samples.map((sample) => sample.read)))
  figure("detect", "a state", "B", bytes.length, 4096)
  return Promise.resolve()
}
