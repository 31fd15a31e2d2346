/** One operation under sqlmap: what it found, and that it tried every field. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { ensureService } from "../../../../../scripts/services/debian.ts"
import { nameOf } from "./gate.ts"
import type { Operation } from "./targets.ts"
import { runTool } from "./tool.ts"

export interface SqlmapOptions {
  /** 1–5: how many shapes of each test. */
  readonly level: number
  /** 1–3: 2 adds heavy queries that take long, 3 tests with `or`, which may touch every row. */
  readonly risk: number
}

export interface Verdict {
  /** The fields that the tool calls vulnerable, with what it says of them. */
  readonly found: ReadonlyArray<{ readonly field: number; readonly kind: string; readonly text: string }>
  /** Why the run is no proof of anything, such as a field that was left out. */
  readonly faults: ReadonlyArray<string>
  readonly seconds: number
}

const requestFile = (gate: string, { fields, method }: Operation) => {
  const form = new URLSearchParams(fields.map(({ value }, index) => [nameOf(index), String(value)])).toString()
  const { host } = new URL(gate)
  return method === "GET"
    ? `GET /operation?${form} HTTP/1.1\nHost: ${host}\n\n`
    : `POST /operation HTTP/1.1\nHost: ${host}\nContent-Type: application/x-www-form-urlencoded\n\n${form}`
}

/** `folder` must not be there yet. */
export const runSqlmap = async (
  folder: string,
  gate: string,
  operation: Operation,
  { level, risk }: SqlmapOptions
): Promise<Verdict> => {
  const { programs } = await ensureService("sqlmap")
  await mkdir(folder, { recursive: true })
  const file = join(folder, "request.txt")
  await writeFile(file, requestFile(gate, operation))
  const began = performance.now()
  const said = await runTool(folder, programs["sqlmap"]!, [
    ...["-r", file, "--batch", "--ignore-stdin", "--disable-coloring", "--output-dir", join(folder, "output")],
    // All techniques: boolean, error, inline query, stacked, time, union. The database is no secret.
    ...["--technique", "BEQSTU", "--dbms", "PostgreSQL", "--level", String(level), "--risk", String(risk)],
    // The next field is tried too when one is found.
    ...[
      "--answers",
      "keep testing=Y,quit and make sure=N",
      "--skip-waf",
      "--ignore-redirects",
      "--ignore-code",
      "401,404"
    ],
    ...["--time-sec", "2", "--timeout", "20", "--retries", "1"]
  ])
  const seconds = (performance.now() - began) / 1000
  const [host = ""] = await readdir(join(folder, "output")).then((names) =>
    names.filter((name) => name === "127.0.0.1")
  )
  const log = await readFile(join(folder, "output", host, "log"), "utf8").catch(() => "")
  const found = [...log.matchAll(/^Parameter: f(\d+) \((?:GET|POST)\)\n((?: {4}.*\n|\n(?= {4}))*)/gm)].flatMap(
    ([, field, text = ""]) =>
      [...text.matchAll(/^ {4}Type: (.*)$/gm)].map(([, kind = ""]) => ({
        field: Number(field),
        kind,
        text: text.trim()
      }))
  )
  const faults = operation.fields.flatMap(({ name }, index) => {
    const clean = said.includes(`parameter '${nameOf(index)}' does not seem to be injectable`)
    return clean || found.some(({ field }) => field === index) ? [] : [`sqlmap did not try ${name}`]
  })
  return {
    found,
    faults: log.trim() !== "" && found.length === 0 ? [...faults, `sqlmap says: ${log}`] : faults,
    seconds
  }
}
