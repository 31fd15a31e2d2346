/** Pages and operations under wapiti: what its modules found. */
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { ensureService } from "../../../../../scripts/services/debian.ts"
import type { Verdict } from "./sqlmap.ts"
import { runTool } from "./tool.ts"

export interface WapitiOptions {
  readonly start: string
  readonly modules: ReadonlyArray<string>
  readonly headers?: Readonly<Record<string, string>>
  /** Where fetched addresses are told of. */
  readonly endpoint: string
}

interface Finding {
  readonly info: string
  readonly parameter: string
  readonly http_request: string
}

interface Report {
  readonly vulnerabilities: Readonly<Record<string, ReadonlyArray<Finding>>>
  readonly anomalies: Readonly<Record<string, ReadonlyArray<Finding>>>
}

let modulesThere: Promise<ReadonlySet<string>> | undefined

/** Later versions call blindsql `timesql`. */
const named = async (program: string, modules: ReadonlyArray<string>, folder: string) => {
  modulesThere ??= runTool(join(folder, "modules"), program, ["--list-modules"]).then(
    (said) => new Set([...said.matchAll(/^\t(\w+)/gm)].map(([, name = ""]) => name))
  )
  const there = await modulesThere
  return modules.map((module) => (module === "blindsql" && there.has("timesql") ? "timesql" : module))
}

/** Anomalies (a fault of ours, an answer that came too late) are findings too. `field` is -1 for what no field brought about. */
export const runWapiti = async (folder: string, options: WapitiOptions): Promise<Verdict> => {
  const { programs } = await ensureService("wapiti")
  const program = programs["wapiti"]!
  await mkdir(folder, { recursive: true })
  const modules = await named(program, options.modules, folder)
  const report = join(folder, "report.json")
  const began = performance.now()
  // A database of another module that it would fetch from the web at every start.
  await writeFile(join(folder, "apps.json"), "{}")
  const said = await runTool(folder, program, [
    ...["--url", options.start, "--scope", "folder", "--module", modules.join(","), "--scan-force", "insane"],
    ...["--level", "1", "--timeout", "3", "--flush-session", "--store-session", folder, "--store-config", folder],
    ...["--endpoint", options.endpoint, "--no-bugreport", "--format", "json", "--output", report, "--verbose", "1"],
    ...Object.entries(options.headers ?? {}).flatMap(([name, value]) => ["--header", `${name}: ${value}`])
  ])
  const seconds = (performance.now() - began) / 1000
  const { anomalies, vulnerabilities } = JSON.parse(await readFile(report, "utf8")) as Report
  const found = [vulnerabilities, anomalies].flatMap((kinds) =>
    Object.entries(kinds).flatMap(([kind, findings]) =>
      findings.map(({ http_request, info, parameter }) => ({
        field: Number(/^f(\d+)$/.exec(parameter ?? "")?.[1] ?? -1),
        kind,
        text: `${info}\n${http_request}`
      }))
    )
  )
  const launched = new Set([...said.matchAll(/Launching module (\w+)/g)].map(([, name]) => name))
  const faults = [
    ...modules.filter((module) => !launched.has(module)).map((module) => `wapiti did not run ${module}`),
    ...[...said.matchAll(/^.*(?:Traceback|requests were skipped|Too much lag|Error:).*$/gm)].map(
      ([line]) => `wapiti says: ${line}`
    )
  ]
  return { found, faults, seconds }
}
