/** The files of a new city. */

const config = (title: string) => `import {
  identity,
  notifications,
  payouts,
  reports,
  security,
  securityAlert,
  trafficReport,
  trafficViolation
} from "@mahalla/core"
import { defaults, defineConfig } from "@mahalla/server"
import { demo } from "./demo.ts"

/** ${title}. Plugins are what stands behind the doors to the outside; modules are what the city can do. */
export default defineConfig(({ databaseUrl, s3 }) => ({
  plugins: defaults({ databaseUrl, s3 }),
  modules: [
    security(),
    identity(),
    payouts(),
    reports(),
    notifications({ caseTypes: [trafficReport, trafficViolation, securityAlert] })
  ],
  demo
}))
`

const demo = (
  slug: string,
  title: string
) => `import { addTerritory, fundBudget, putOffence, type City } from "@mahalla/core"
import { TenantTx } from "@mahalla/core/module"
import type { Demo } from "@mahalla/server"
import * as Effect from "effect/Effect"

/** Land, offences and money, in one transaction: all of it is there or nothing. */
const furnish = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  const known = yield* sql\`select id from mahalla.territory where tenant_id = \${tenantId} limit 1\`
  if (known.length > 0) return
  yield* addTerritory({ kind: "city", name: { en: "${title}" } })
  yield* putOffence({ code: "red-light", article: "128-1(1)", title: { en: "Passing a red light" }, fine: 68_000_000n, rewardShare: 1500, active: true })
  yield* fundBudget({ amount: 1_000_000_000_00n, memo: "First budget" })
})

/** Data to try things in. Replace it by your own; it is put in place once. */
const seed = async (city: City) => {
  const tenants = await city.admin.tenants.list()
  if (!tenants.some(({ slug }) => slug === "${slug}"))
    await city.admin.tenants.create({
      slug: "${slug}",
      name: "${title}",
      settings: {
        timeZone: "Asia/Tashkent",
        languages: ["en", "uz", "ru"],
        country: "UZ",
        currency: "UZS",
        calendar: { days: [1, 2, 3, 4, 5], from: "09:00", to: "18:00", holidays: [] },
        corsOrigins: []
      }
    })
  await city.as({ tenant: "${slug}", principal: "system" }).run(furnish)
  for (const [name, role] of [["First Administrator", "municipality-admin"], ["First Inspector", "inspector"]] as const)
    if ((await city.admin.staffWithRole("${slug}", role)).length === 0)
      await city.admin.principals.createStaff("${slug}", { name, roles: [role] })
}

export const demo: Demo = { tenant: "${slug}", seed, place: { longitude: 69.2797, latitude: 41.3111 }, offence: "red-light" }
`

/** By name. */
export const cityFiles = (slug: string, version: string): Readonly<Record<string, string>> => {
  const title = slug
    .split("-")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join(" ")
  return {
    "package.json": `${JSON.stringify(
      {
        name: slug,
        private: true,
        type: "module",
        scripts: { dev: "mahalla dev", demo: "mahalla demo", doctor: "mahalla doctor", migrate: "mahalla migrate" },
        dependencies: {
          "@mahalla/cli": `^${version}`,
          "@mahalla/core": `^${version}`,
          "@mahalla/server": `^${version}`,
          effect: "~4.1.0"
        },
        engines: { node: ">=22.19" }
      },
      null,
      2
    )}\n`,
    "mahalla.config.ts": config(title),
    "demo.ts": demo(slug, title),
    ".gitignore": "node_modules/\n.mahalla/\n",
    "README.md": `# ${title}\n\n\`npm install\`, then \`npx mahalla dev\`: a running city with demo data, and a link for the first administrator.\n\nEverything the city keeps is in \`.mahalla\`; \`npx mahalla doctor\` says whether all is well.\n`
  }
}
