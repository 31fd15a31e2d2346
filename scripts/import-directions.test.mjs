// Every import rule of .dependency-cruiser.cjs is shown a small tree that breaks it, and the same tree without that import.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { cruise } from "dependency-cruiser"
import { afterAll, beforeAll, expect, it } from "vitest"

const root = join(import.meta.dirname, "..")
const { forbidden, options } = createRequire(import.meta.url)("../.dependency-cruiser.cjs")
const core = "packages/core/src"

/** What is allowed: one arrow of every kind that the rules let through. */
const allowed = {
  [`${core}/index.ts`]: ["./plugin/index.ts", "./engine/city.ts"],
  [`${core}/module.ts`]: ["./kernel/index.ts", "./ports/index.ts"],
  [`${core}/ports/index.ts`]: ["./Blob.ts"],
  [`${core}/ports/Blob.ts`]: ["effect/Effect"],
  [`${core}/plugin/index.ts`]: ["../ports/index.ts", "effect/Layer"],
  [`${core}/kernel/index.ts`]: ["../plugin/index.ts", "../ports/index.ts", "effect/sql/SqlClient", "node:fs"],
  [`${core}/kernel/kernel.test.ts`]: ["../testing/index.ts", "../test/database.ts", "@mahalla/disk"],
  [`${core}/modules/reports/index.ts`]: ["./cases.ts"],
  [`${core}/modules/reports/cases.ts`]: ["../../kernel/index.ts", "../payouts/index.ts", "../../module.ts"],
  [`${core}/modules/payouts/index.ts`]: ["./ledger.ts"],
  [`${core}/modules/payouts/ledger.ts`]: ["../../ports/index.ts"],
  [`${core}/engine/city.ts`]: ["../modules/reports/index.ts", "../kernel/index.ts"],
  [`${core}/testing/index.ts`]: ["../ports/index.ts", "../kernel/index.ts"],
  [`${core}/test/database.ts`]: ["@mahalla/disk"],
  "packages/plugins/disk/src/index.ts": ["./disk.ts"],
  "packages/plugins/disk/src/disk.ts": ["@mahalla/core/plugin", "effect/FileSystem"],
  "packages/plugins/disk/src/disk.test.ts": ["./disk.ts", "@mahalla/core/plugin", "@mahalla/core/testing"],
  "packages/plugins/cloud/src/index.ts": ["@mahalla/core/plugin"],
  "packages/server/src/index.ts": ["@mahalla/core", "@mahalla/disk"],
  "packages/cli/src/audit/verify.ts": ["./tree.ts", "node:fs"],
  "packages/cli/src/audit/tree.ts": ["node:crypto"],
  "packages/cli/src/main.ts": ["./audit/verify.ts", "@mahalla/server", "@mahalla/core"],
  "examples/town/src/main.ts": ["@mahalla/server", "@mahalla/disk", "@mahalla/core"]
}

/** Rule, file, import that the rule must refuse there. */
const refused = [
  ["ports", `${core}/ports/Blob.ts`, "../plugin/index.ts"],
  ["plugin-contract", `${core}/plugin/index.ts`, "../kernel/index.ts"],
  ["kernel", `${core}/kernel/index.ts`, "../modules/reports/index.ts"],
  ["kernel", `${core}/kernel/index.ts`, "../engine/city.ts"],
  ["module-contract", `${core}/module.ts`, "./modules/reports/index.ts"],
  ["modules", `${core}/modules/reports/cases.ts`, "../payouts/ledger.ts"],
  ["modules", `${core}/modules/reports/cases.ts`, "../../engine/city.ts"],
  ["modules", `${core}/modules/reports/cases.ts`, 'type:import("../payouts/ledger.ts")'],
  ["testing", `${core}/testing/index.ts`, "../modules/payouts/ledger.ts"],
  ["core-alone", `${core}/engine/city.ts`, "@mahalla/disk"],
  ["core-alone", `${core}/engine/city.ts`, "@mahalla/server"],
  ["plugins-see-the-contract", "packages/plugins/disk/src/disk.ts", "@mahalla/core"],
  ["plugins-see-the-contract", "packages/plugins/disk/src/disk.ts", "@mahalla/core/module"],
  ["plugins-see-the-contract", "packages/plugins/disk/src/disk.ts", "@mahalla/core/testing"],
  ["plugins-see-the-contract", "packages/plugins/disk/src/disk.ts", "@mahalla/cloud"],
  ["plugin-tests-see-the-kit", "packages/plugins/disk/src/disk.test.ts", "@mahalla/cloud"],
  ["plugin-tests-see-the-kit", "packages/plugins/disk/src/disk.test.ts", "@mahalla/core"],
  ["server", "packages/server/src/index.ts", "@mahalla/cli"],
  ["cli", "packages/cli/src/main.ts", "@mahalla/disk"],
  ["verifier-alone", "packages/cli/src/audit/verify.ts", "@mahalla/core"],
  ["verifier-alone", "packages/cli/src/audit/tree.ts", "node:http"],
  ["verifier-alone", "packages/cli/src/audit/tree.ts", "../main.ts"],
  ["front-door", "packages/server/src/index.ts", "../../plugins/disk/src/disk.ts"],
  ["front-door", "packages/plugins/disk/src/disk.ts", "../../cloud/src/index.ts"],
  ["tests-stay-outside", `${core}/kernel/index.ts`, "../test/database.ts"],
  ["tests-stay-outside", `${core}/kernel/index.ts`, "./kernel.test.ts"],
  ["effect-modules", "packages/server/src/index.ts", "effect"],
  ["effect-modules", `${core}/kernel/kernel.test.ts`, "effect"],
  ["stable-contracts", `${core}/ports/Blob.ts`, "effect/FileSystem"],
  ["stable-contracts", `${core}/ports/Blob.ts`, "effect/sql/SqlClient"],
  ["stable-contracts", `${core}/plugin/index.ts`, "type:effect/http-api/HttpApi"],
  ["stable-contracts", `${core}/ports/Blob.ts`, "node:fs"],
  ["no-circles", `${core}/modules/payouts/ledger.ts`, "../reports/index.ts"],
  ["no-circles", `${core}/modules/payouts/ledger.ts`, "type:./index.ts"],
  ["resolvable", "packages/server/src/index.ts", "./nothing.ts"]
]

const line = (specifier, index) => {
  if (specifier.startsWith("type:import(")) return `export type T${index} = ${specifier.slice(5)}`
  if (specifier.startsWith("type:")) return `import type * as T${index} from "${specifier.slice(5)}"`
  return `import * as M${index} from "${specifier}"`
}
const write = (base, file, specifiers) => {
  mkdirSync(dirname(join(base, file)), { recursive: true })
  writeFileSync(join(base, file), specifiers.map(line).join("\n") + "\nexport {}\n")
}

let tree
beforeAll(() => {
  tree = realpathSync(mkdtempSync(join(tmpdir(), "mahalla-directions-")))
  for (const [file, specifiers] of Object.entries(allowed)) write(tree, file, specifiers)
  mkdirSync(join(tree, "node_modules/@mahalla"), { recursive: true })
  symlinkSync(realpathSync(join(root, "node_modules/effect")), join(tree, "node_modules/effect"), "junction")
  for (const [name, folder, entries] of [
    [
      "core",
      "core",
      { ".": "index.ts", "./plugin": "plugin/index.ts", "./module": "module.ts", "./testing": "testing/index.ts" }
    ],
    ["disk", "plugins/disk", { ".": "index.ts" }],
    ["cloud", "plugins/cloud", { ".": "index.ts" }],
    ["server", "server", { ".": "index.ts" }],
    ["cli", "cli", { ".": "main.ts" }]
  ]) {
    const exports = Object.fromEntries(
      Object.entries(entries).map(([key, file]) => [
        key,
        { "@mahalla/source": `./src/${file}`, default: `./dist/${file}` }
      ])
    )
    writeFileSync(
      join(tree, "packages", folder, "package.json"),
      JSON.stringify({ name: `@mahalla/${name}`, type: "module", exports })
    )
    symlinkSync(join(tree, "packages", folder), join(tree, "node_modules/@mahalla", name), "junction")
  }
})
afterAll(() => rmSync(tree, { recursive: true, force: true }))

const violations = async () => {
  const { enhancedResolveOptions, ...cruising } = options
  const { output } = await cruise(
    ["packages", "examples"],
    { ...cruising, baseDir: tree, validate: true, ruleSet: { forbidden } },
    enhancedResolveOptions
  )
  return output.summary.violations.map((found) => ({
    rule: found.rule.name,
    files: [found.from, ...(found.cycle ?? []).map((step) => step.name)]
  }))
}

it("lets every allowed arrow through", async () => {
  expect(await violations()).toEqual([])
})

it("has a forbidden import for each rule", () => {
  expect(new Set(refused.map(([rule]) => rule))).toEqual(new Set(forbidden.map((rule) => rule.name)))
})

it.each(refused)("%s refuses in %s the import of %s", async (rule, file, specifier) => {
  write(tree, file, [...allowed[file], specifier])
  try {
    const found = await violations()
    expect(found.filter((violation) => violation.rule === rule).flatMap((violation) => violation.files)).toContain(file)
  } finally {
    write(tree, file, allowed[file])
  }
})
