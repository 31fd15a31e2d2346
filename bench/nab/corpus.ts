/** The corpus of the Numenta Anomaly Benchmark, read from its folder: CSV files by group and `labels/combined_windows.json`. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

export interface Series {
  /** `realTweets/Twitter_volume_KO.csv` */
  readonly name: string
  readonly timestamps: ReadonlyArray<string>
  /** Epoch milliseconds; the files name no zone, so they are taken as UTC. */
  readonly times: Float64Array
  readonly values: Float64Array
  readonly windows: ReadonlyArray<readonly [string, string]>
}

const lines = (path: string): ReadonlyArray<ReadonlyArray<string>> =>
  readFileSync(path, "utf8")
    .trim()
    .split(/\r?\n/)
    .map((line) => line.split(","))

export const readCorpus = (folder: string): ReadonlyArray<Series> => {
  const windows = JSON.parse(readFileSync(join(folder, "labels/combined_windows.json"), "utf8")) as Record<
    string,
    Array<[string, string]>
  >
  return Object.keys(windows)
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((name) => {
      const rows = lines(join(folder, "data", name)).slice(1)
      const timestamps = rows.map(([timestamp = ""]) => timestamp)
      return {
        name,
        timestamps,
        times: Float64Array.from(timestamps, (timestamp) => Date.parse(`${timestamp.replace(" ", "T")}Z`)),
        values: Float64Array.from(rows, ([, value = ""]) => Number(value)),
        // Written with microseconds there, without them in the data.
        windows: (windows[name] ?? []).map(([from, to]) => [from.slice(0, 19), to.slice(0, 19)] as const)
      }
    })
}

/** Per-row scores that somebody published: the folder of one detector in the benchmark's own `results`. */
export const readPublished = (folder: string, names: ReadonlyArray<string>): ReadonlyMap<string, Float64Array> => {
  const found = new Map<string, Float64Array>()
  for (const group of readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory()))
    for (const file of readdirSync(join(folder, group.name))) {
      const name = names.find(
        (name) => name.startsWith(`${group.name}/`) && file.endsWith(`_${name.slice(group.name.length + 1)}`)
      )
      if (name === undefined) continue
      const [header = [], ...rows] = lines(join(folder, group.name, file))
      const column = header.indexOf("anomaly_score")
      found.set(
        name,
        Float64Array.from(rows, (row) => Number(row[column]))
      )
    }
  return found
}
