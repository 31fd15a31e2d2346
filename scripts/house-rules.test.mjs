// Each house rule is shown a line that breaks it and a line that does not, under the repository's own oxlint configuration.
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join, sep } from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"

const root = join(import.meta.dirname, "..")
const source = "packages/core/src/kernel/sample.ts"

/** Rule, file, refused lines, lines that are right. */
const cases = [
  [
    "house(no-wall-clock)",
    source,
    ["const a = Date.now()", "const a = new Date()", "const a = Date()"],
    ["const a = new Date(0)"]
  ],
  ["house(no-wall-clock)", "packages/core/src/kernel/sample.test.ts", [], ["const a = Date.now()"]],
  [
    "house(no-try-in-effects)",
    source,
    ["const f = function* () { try { yield 1 } catch { yield 2 } }"],
    [
      "const f = () => { try { return 1 } catch { return 2 } }",
      "const f = function* () { try { yield 1 } finally { g() } }"
    ]
  ],
  [
    "house(sql)",
    source,
    [
      "run(`SELECT * FROM t WHERE id = ${id}`)",
      'run("DELETE FROM t WHERE id = " + id + " AND true")',
      "sql.unsafe(`t_${id}`)",
      "sql`SET search_path = x`",
      "sql`SET ROLE app`",
      'run("SET statement_timeout = 0")',
      "sql`SELECT set_config('app.tenant', ${tenant}, false)`"
    ],
    [
      "sql`SELECT * FROM t WHERE id = ${id}`",
      "sql`UPDATE t SET a = ${id}`",
      "sql`SET LOCAL statement_timeout = 0`",
      "sql`SET CONSTRAINTS ALL DEFERRED`",
      "sql`SELECT set_config('app.tenant', ${tenant}, true)`",
      'say("SELECT a file, then " + go)'.replace("SELECT", "Select"),
      "sql.unsafe(readFileSync(file))"
    ]
  ],
  [
    "house(reasoned-exceptions)",
    source,
    [
      "// oxlint-disable-next-line no-console\nconsole.log(1)",
      "// @ts-expect-error\nconst a = 1",
      "// @ts-ignore because\nconst a = 1"
    ],
    [
      "// oxlint-disable-next-line no-console -- the only output there is\nconsole.log(1)",
      "// @ts-expect-error the layer needs more\nconst a = 1"
    ]
  ],
  ["import(no-default-export)", source, ["export default 1"], ["export const one = 1"]],
  ["import(no-default-export)", "vitest.config.ts", [], ["export default 1"]],
  ["typescript(no-explicit-any)", source, ["export type A = any"], ["export type A = unknown"]],
  [
    "typescript(no-floating-promises)",
    source,
    ["Promise.resolve(1)"],
    ["void Promise.resolve(1)", "await Promise.resolve(1)"]
  ],
  [
    "eslint(no-restricted-imports)",
    source,
    ['import { Effect } from "effect"', 'import { NodeRuntime } from "@effect/platform-node"'],
    ['import * as Effect from "effect/Effect"']
  ],
  ["eslint(no-console)", source, ["console.log(1)"], []],
  ["eslint(max-lines)", source, ["f()\n".repeat(801)], ["f()\n".repeat(800)]]
]

const samples = cases.flatMap(([rule, file, bad, good]) =>
  [...bad.map((lines) => [lines, true]), ...good.map((lines) => [lines, false])].map(([lines, refused], index) => ({
    rule,
    lines,
    refused,
    file: join(dirname(file), rule.replace(/\W+/g, "-"), String(index), basename(file))
  }))
)

let tree
const found = new Map()
beforeAll(() => {
  tree = realpathSync(mkdtempSync(join(tmpdir(), "mahalla-house-rules-")))
  const config = JSON.parse(readFileSync(join(root, ".oxlintrc.json"), "utf8"))
  const jsPlugins = config.jsPlugins.map((plugin) => join(root, plugin))
  const { reportUnusedDisableDirectives: _, ...options } = config.options
  writeFileSync(join(tree, ".oxlintrc.json"), JSON.stringify({ ...config, $schema: undefined, jsPlugins, options }))
  writeFileSync(join(tree, "tsconfig.json"), JSON.stringify({ compilerOptions: { module: "NodeNext" } }))
  symlinkSync(join(root, "node_modules"), join(tree, "node_modules"), "junction")
  for (const { file, lines } of samples) {
    mkdirSync(dirname(join(tree, file)), { recursive: true })
    writeFileSync(join(tree, file), lines)
  }
  const oxlint = join(root, "node_modules/oxlint/bin/oxlint")
  const tops = new Set(samples.map(({ file }) => file.split(sep)[0]))
  const run = spawnSync(process.execPath, [oxlint, "-f", "json", ...tops], {
    cwd: tree,
    encoding: "utf8",
    timeout: 60_000
  })
  for (const { code, filename } of JSON.parse(run.stdout).diagnostics)
    found.set(filename, [...(found.get(filename) ?? []), code])
})
afterAll(() => rmSync(tree, { recursive: true, force: true }))

it.each(
  samples.map((sample) => [sample.rule, sample.refused ? "refuses" : "accepts", sample.lines.slice(0, 90), sample])
)("%s %s %s", (rule, _verb, _lines, { file, refused }) => {
  expect((found.get(file.replaceAll("\\", "/")) ?? []).includes(rule)).toBe(refused)
})
