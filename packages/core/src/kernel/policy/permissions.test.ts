import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { controlRoom } from "../../modules/control-room/index.ts"
import { filings } from "../../modules/filings/index.ts"
import { network } from "../../modules/network/index.ts"
import { payouts } from "../../modules/payouts/index.ts"
import { notifications } from "../../modules/notifications/index.ts"
import { identity } from "../../modules/identity/index.ts"
import { oauth } from "../../modules/oauth/index.ts"
import { security } from "../../modules/security/index.ts"
import { reports } from "../../modules/reports/index.ts"
import { telemetry } from "../../modules/telemetry/index.ts"
import { webhooks } from "../../modules/webhooks/index.ts"
import { knows, permissionsOf } from "./permissions.ts"
import { presetRoles } from "./presets.ts"

const modules = [
  security(),
  controlRoom(),
  network(),
  telemetry(),
  identity(),
  oauth(),
  payouts(),
  filings(),
  reports(),
  notifications({ caseTypes: [] }),
  webhooks()
]
const types = modules.flatMap((module) => module.caseTypes.map(({ definition }) => definition))
const all = permissionsOf(
  types,
  modules.flatMap((module) => module.permissions)
)
const root = join(import.meta.dirname, "../..")

const sources = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
  (file) => file.endsWith(".ts") && !file.endsWith(".test.ts") && !/^(test|testing)\//.test(file)
)

describe("the list of permissions", () => {
  it("has_every_permission_that_a_door_asks_for", () => {
    const asked = sources.flatMap((file) =>
      [
        ...readFileSync(join(root, file), "utf8").matchAll(
          /\b(?:demand|demandEverywhere|may)\(\s*"([a-z-]+\.[a-z-]+)"/g
        )
      ].map((match) => match[1]!)
    )
    expect(asked.length).toBeGreaterThan(20)
    expect([...new Set(asked)].filter((permission) => !all.includes(permission))).toEqual([])
  })

  it("has_every_verb_that_a_door_asks_for_on_a_case", () => {
    const verbs = sources.flatMap((file) =>
      [...readFileSync(join(root, file), "utf8").matchAll(/\$\{(?:record\.type|definition\.id)\}\.([a-z-]+)`/g)].map(
        (match) => match[1]!
      )
    )
    const [type] = types
    expect([...new Set(verbs)].filter((verb) => verb !== "created" && !all.includes(`${type!.id}.${verb}`))).toEqual([])
  })

  it.each([
    ["traffic-report.read", true],
    ["traffic-report.read:own", true],
    ["traffic-report.*", true],
    ["*.read", true],
    ["*.decide", true],
    ["*.*", true],
    ["*.appeal:own", true],
    ["traffic-report.fly", false],
    ["*.fly", false],
    ["nothing.*", false],
    ["*.fund", false],
    ["read", false],
    ["", false],
    ["*", false],
    ["traffic-report.read:their", false]
  ])("knows whether %s means anything", (entry, known) => {
    const ids = types.map(({ id }) => id)
    expect(knows(all, ids, presetRoles)(entry)).toBe(known)
  })
})
