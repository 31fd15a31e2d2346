/** The city that benchmarks run: one municipality with twelve districts, one type of report that causes a job, one citizen. */
import { addTerritory, type City, type CityConfig, createCity, identity, security } from "@mahalla/core"
import {
  type CaseType,
  defineCaseType,
  defineJob,
  defineModule,
  enqueue,
  Id,
  newId,
  TenantTx
} from "@mahalla/core/module"
import { defaults } from "@mahalla/server"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { beginSession } from "../../packages/core/src/modules/identity/index.ts"

/** Of every city here, so that the floor knows the log-in that it derives. */
export const secret = "not a secret, for benchmarks alone: 0123456789"
export const tenantSlug = "bench"
/** Connections of the pool that serves requests: ours by default, and the floor's. */
export const connections = 15

const title = (en: string) => ({ en })

const reportType = (isPublic: boolean): CaseType =>
  defineCaseType({
    definition: {
      id: "bench-report",
      version: 1,
      title: title("Report"),
      data: {
        properties: {
          title: { type: "string", maxLength: 200, visibility: "public" },
          description: { type: "string", maxLength: 4000, visibility: "public" },
          category: { type: "string", enum: ["lights", "roads", "waste", "water"], visibility: "public" }
        },
        required: ["title", "description", "category"]
      },
      place: "required",
      anonymous: true,
      public: isPublic,
      attachments: { min: 0, max: 10 },
      creatable: true,
      initial: "submitted",
      states: {
        submitted: { title: title("Submitted"), phase: "open" },
        working: { title: title("Being worked on"), phase: "open" },
        fixed: { title: title("Fixed"), phase: "fixed" },
        closed: { title: title("Closed"), phase: "closed" }
      },
      transitions: {
        begin: { title: title("Begin"), from: ["submitted"], to: ["working"], event: "begun" },
        fix: { title: title("Fix"), from: ["working"], to: ["fixed"], event: "fixed" },
        withdraw: { title: title("Withdraw"), from: ["submitted", "working"], to: ["closed"], event: "withdrawn" }
      },
      search: ["title", "description"]
    },
    created: (record) => Effect.asVoid(enqueue([{ topic: "bench.created", body: { caseId: record.id } }]))
  })

const created = defineJob({
  topic: "bench.created",
  payload: Schema.Struct({ caseId: Id }),
  run: () => Effect.void
})

const box = (west: number, south: number, east: number, north: number) => ({
  type: "Polygon" as const,
  coordinates: [
    [
      [west, south],
      [east, south],
      [east, north],
      [west, north],
      [west, south]
    ]
  ]
})

/** Reports and the job that each causes. `isPublic`: whether anybody may list them. */
export const benchModule = (isPublic = true) =>
  defineModule({ id: "bench", caseTypes: [reportType(isPublic)], jobs: [created] })

export const benchCity = (options: {
  readonly home: string
  readonly databaseUrl: string
  readonly only?: CityConfig["only"]
  /** Whether anybody may list reports. Default true. */
  readonly public?: boolean
}) =>
  createCity({
    home: options.home,
    secret,
    plugins: defaults({ databaseUrl: options.databaseUrl, payments: "none" }),
    modules: [security(), identity(), benchModule(options.public)],
    logLevel: "Warn",
    ...(options.only === undefined ? {} : { only: options.only })
  })

/** The municipality of the benchmarks. */
export const tenant: Parameters<City["admin"]["tenants"]["create"]>[0] = {
  slug: tenantSlug,
  name: "Bench",
  settings: {
    timeZone: "Asia/Samarkand",
    languages: ["en"],
    country: "UZ",
    currency: "UZS",
    calendar: { days: [1, 2, 3, 4, 5], from: "09:00", to: "18:00", holidays: [] },
    corsOrigins: []
  }
}

/** Founds the municipality once and gives a citizen with an access token. */
export const citizenOf = async (
  city: City
): Promise<{ readonly id: string; readonly token: string; readonly tenantId: string }> => {
  if ((await city.admin.tenants.list()).length === 0) {
    await city.admin.tenants.create(tenant)
    const engine = city.as({ tenant: tenantSlug, principal: "system" })
    const { id } = await engine.run(
      addTerritory({ kind: "city", name: title("Bench"), boundary: box(66.85, 39.55, 67.05, 39.75) })
    )
    for (let n = 0; n < 12; n++) {
      const [west, south] = [66.9 + (n % 4) * 0.025, 39.6 + Math.floor(n / 4) * 0.035]
      const name = title(`District ${n + 1}`)
      await engine.run(
        addTerritory({ kind: "district", parentId: id, name, boundary: box(west, south, west + 0.025, south + 0.035) })
      )
    }
  }
  return city.admin.run(
    tenantSlug,
    Effect.gen(function* () {
      const { sql, tenantId } = yield* TenantTx
      const id = yield* newId
      yield* sql`insert into mahalla.principal (tenant_id, id, kind) values (${tenantId}, ${id}, 'person')`
      const { accessToken } = yield* beginSession(id, "code", { device: undefined, userAgent: undefined })
      return { id, token: accessToken, tenantId }
    })
  )
}
