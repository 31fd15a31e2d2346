/**
 * A running city with two tenants for tests over HTTP: real PostgreSQL, files, queue and doors. Encoder, detector and payments are light
 * ones unless a test brings others. One for a test file: starting it takes some seconds.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  type City,
  type CityConfig,
  controlRoom,
  createCity,
  filings,
  fundBudget,
  identity,
  issueLink,
  live,
  type Module,
  network,
  notifications,
  oauth,
  type Offence,
  payouts,
  putOffence,
  reports,
  security,
  securityAlert,
  telemetry,
  trafficReport,
  trafficViolation,
  webhooks
} from "@mahalla/core"
import {
  apiVersion,
  definePlugin,
  Detector,
  Encoder,
  IdentityCheck,
  Limiter,
  Payments,
  type Plugin,
  Queue
} from "@mahalla/core/plugin"
import {
  freshDatabase,
  memoryEncoder,
  memoryIdentityCheck,
  memoryPayments,
  pretendedMedium
} from "@mahalla/core/testing"
import { filesystem } from "@mahalla/filesystem"
import { outboxMessenger } from "@mahalla/outbox-messenger"
import { postgres } from "@mahalla/postgres"
import pg from "pg"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { serve } from "../serve.ts"
import { cityTemplate } from "./cityTemplate.ts"
import { type Client, makeClient, newKey, upload } from "./client.ts"
import { confidencesBroken, watchLogs } from "./watch.ts"

export const slugs = ["samarkand", "bukhara"] as const
export type Slug = (typeof slugs)[number]

export const staffRoles = ["municipality-admin", "inspector", "dispatcher", "treasurer", "auditor"] as const
export type StaffRole = (typeof staffRoles)[number]

/** In the middle of both cities' districts. */
export const place = { longitude: 66.9749, latitude: 39.6547 }

export const offences: ReadonlyArray<Offence> = [
  {
    code: "red-light",
    article: "128-1(1)",
    title: { en: "Passing a red light" },
    fine: 68_000_000n,
    rewardShare: 1500,
    active: true
  },
  {
    code: "parking",
    article: "128-5(3)",
    title: { en: "Parking where it is forbidden" },
    fine: 10_000_000n,
    rewardShare: 0,
    active: true
  },
  {
    code: "old",
    article: "1",
    title: { en: "Not in force any more" },
    fine: 1n,
    rewardShare: 0,
    active: false
  }
]

export const lightEncoder = (layer: Layer.Layer<Encoder> = memoryEncoder): Plugin =>
  definePlugin({ id: "light-encoder", apiVersion, config: Schema.Struct({}), provides: [Encoder], layer: () => layer })(
    {}
  )

/** Finds what the function says; nothing by default. */
export const lightDetector = (detect: Detector["Service"]["detect"] = () => Effect.succeed([])): Plugin =>
  definePlugin({
    id: "light-detector",
    apiVersion,
    config: Schema.Struct({}),
    provides: [Detector],
    layer: () => Layer.succeed(Detector, Detector.of({ model: "light/1.0.0", detect }))
  })({})

const lightPayments = (): Plugin =>
  definePlugin({
    id: "light-payments",
    apiVersion,
    config: Schema.Struct({}),
    provides: [Payments],
    layer: () => memoryPayments()
  })({})

const lightRegister = (): Plugin =>
  definePlugin({
    id: "light-register",
    apiVersion,
    config: Schema.Struct({}),
    provides: [IdentityCheck],
    layer: () => memoryIdentityCheck
  })({})

/** A plugin with one of its ports behind something of the test's. */
export const wrapped = <Id, Service>(
  plugin: Plugin,
  port: Context.Key<Id, Service>,
  change: (service: Service) => Service
): Plugin => ({
  ...plugin,
  layer: Layer.effectContext(
    Effect.map(Layer.build(plugin.layer), (context) =>
      Context.add(context as Context.Context<Id>, port, change(Context.get(context as Context.Context<Id>, port)))
    )
  ) as Plugin["layer"]
})

export interface CityKitOptions {
  readonly postgresUrl: string
  readonly encoder?: Plugin
  readonly detector?: Plugin
  readonly payments?: Plugin
  readonly register?: Plugin
  readonly blobs?: Plugin
  /** Changes the queue's plugin. */
  readonly queue?: (plugin: Plugin) => Plugin
  /** Changes the limiter's plugin. */
  readonly limiter?: (plugin: Plugin) => Plugin
  /** More plugins. */
  readonly plugins?: ReadonlyArray<Plugin>
  readonly telemetry?: Parameters<typeof telemetry>[0]
  /** More modules. */
  readonly modules?: ReadonlyArray<Module>
  readonly config?: Partial<CityConfig>
}

export interface TenantKit {
  readonly slug: Slug
  readonly id: string
  /** Without credentials. */
  readonly visitor: Client
  readonly staff: Readonly<Record<StaffRole, Client & { readonly id: string }>>
  /** Signs in by phone, as the app does. */
  readonly citizen: (phone: string) => Promise<Client & { readonly id: string }>
  /** Signs somebody who is there already in, by a link. */
  readonly signedIn: (id: string) => Promise<Client & { readonly id: string }>
  /** Makes a staff member and signs them in. */
  readonly staffMember: (roles: ReadonlyArray<string>) => Promise<Client & { readonly id: string }>
}

export interface CityKit {
  readonly city: City
  readonly url: string
  readonly home: string
  /** Asks the database as its superuser, whom no policy holds. */
  readonly sql: <Row extends object>(text: string, values?: ReadonlyArray<unknown>) => Promise<ReadonlyArray<Row>>
  readonly samarkand: TenantKit
  readonly bukhara: TenantKit
  /** Another server on the same database, with a memory of its own; answers requests only. */
  readonly another: (
    config?: Partial<CityConfig>
  ) => Promise<{ readonly url: string; readonly close: () => Promise<void> }>
  readonly close: () => Promise<void>
}

const withId = (client: Client, id: string) => ({ ...client, id })

const openTenant = async (city: City, url: string, slug: Slug): Promise<TenantKit> => {
  const tenant = await city.admin.tenants.create({
    slug,
    name: slug === "samarkand" ? "Samarkand" : "Bukhara",
    settings: {
      timeZone: "Asia/Samarkand",
      languages: ["uz", "ru", "en"],
      country: "UZ",
      currency: "UZS",
      calendar: { days: [1, 2, 3, 4, 5], from: "09:00", to: "18:00", holidays: [] },
      corsOrigins: ["https://app.example"]
    }
  })
  const engine = city.as({ tenant: slug, principal: "system" })
  for (const offence of offences) await engine.run(putOffence(offence))
  await engine.run(fundBudget({ amount: 1_000_000_000_000n, memo: "Budget of the tests" }))
  const base = `${url}/t/${slug}`
  const visitor = makeClient(base)
  const signedIn = async (id: string) => {
    const token = await city.admin.run(slug, issueLink(id))
    const { body } = await makeClient(base).post("/v1/auth/link", { token })
    return withId(visitor.with({ authorization: `Bearer ${body.accessToken}` }), id)
  }
  const staffMember = async (roles: ReadonlyArray<string>) => {
    const { id } = await city.admin.principals.createStaff(slug, { name: `The ${roles.join(", ")}`, roles })
    return signedIn(id)
  }
  const staff = {} as Record<StaffRole, Client & { id: string }>
  for (const role of staffRoles) staff[role] = await staffMember([role])
  const citizen = async (phone: string) => {
    const client = makeClient(base)
    const sent = await client.post("/v1/auth/code", { phone })
    if (sent.status !== 202) throw new Error(`No code for ${phone}: ${sent.text}`)
    const outbox = await staff["municipality-admin"].get(`/v1/outbox?to=${encodeURIComponent(phone)}`)
    const text = String(outbox.body.items.findLast((message: { class: string }) => message.class === "code").text)
    const code = /\b\d{6}\b/.exec(text)![0]
    const { body } = await client.post("/v1/auth/session", { phone, code })
    return withId(client.with({ authorization: `Bearer ${body.accessToken}` }), String(body.principalId))
  }
  return { slug, id: tenant.tenantId, visitor, staff, citizen, signedIn, staffMember }
}

export const openCityKit = async (options: CityKitOptions): Promise<CityKit> => {
  const scope = Effect.runSync(Scope.make())
  const home = await mkdtemp(join(tmpdir(), "mahalla-city-"))
  const configFor = (folder: string, owner: string): CityConfig => ({
    home: folder,
    mode: "dev",
    secret: "a secret for the tests of the city, not for use",
    plugins: [
      postgres({ url: owner, maxConnections: 16 }).map((plugin) =>
        plugin.provides.includes(Queue)
          ? (options.queue?.(plugin) ?? plugin)
          : plugin.provides.includes(Limiter)
            ? (options.limiter?.(plugin) ?? plugin)
            : plugin
      ),
      options.blobs ?? filesystem({}),
      outboxMessenger({}),
      options.encoder ?? lightEncoder(),
      options.detector ?? lightDetector(),
      options.payments ?? lightPayments(),
      options.register ?? lightRegister(),
      ...(options.plugins ?? [])
    ],
    modules: [
      security(),
      identity(),
      // Outside of dev it needs an address that the world can reach.
      ...(options.config?.mode === "production" ? [] : [oauth()]),
      payouts(),
      filings(),
      reports(),
      notifications({ caseTypes: [trafficReport, trafficViolation, securityAlert] }),
      controlRoom(),
      telemetry(options.telemetry),
      network(),
      live(),
      webhooks(),
      ...(options.modules ?? [])
    ],
    trustedProxies: ["127.0.0.1"],
    logFormat: "json",
    logLevel: "Debug",
    // Soon enough that a test can wait until all is signed.
    audit: { checkpointEvery: 1 },
    ...options.config
  })
  if (options.config?.logFormat === undefined) watchLogs()
  // A copy serves who has these modules and this secret only.
  const { mode, secret } = options.config ?? {}
  const isUsual = options.modules === undefined && mode === undefined && secret === undefined
  const migrate = async (owner: string) => {
    const first = createCity(configFor(home, owner))
    await first.start()
    await first.close()
  }
  const template = isUsual ? await cityTemplate(options.postgresUrl, migrate) : undefined
  const database = await Effect.runPromise(Scope.provide(freshDatabase(options.postgresUrl, template), scope))
  const owner = Redacted.value(database.owner)
  const city = createCity(configFor(home, owner))
  await city.start()
  const serving = await serve(city, { port: 0, host: "127.0.0.1" })
  const url = `http://127.0.0.1:${serving.port}`
  const client = new pg.Client({ connectionString: Redacted.value(database.admin) })
  client.on("error", () => {})
  await client.connect()
  const samarkand = await openTenant(city, url, "samarkand")
  const bukhara = await openTenant(city, url, "bukhara")
  return {
    city,
    url,
    home,
    sql: async <Row extends object>(text: string, values: ReadonlyArray<unknown> = []) =>
      (await client.query<Row & pg.QueryResultRow>(text, [...values])).rows,
    samarkand,
    bukhara,
    another: async (config = {}) => {
      const folder = await mkdtemp(join(tmpdir(), "mahalla-city-"))
      const other = createCity({ ...configFor(folder, owner), only: ["api"], ...config })
      await other.start()
      const there = await serve(other, { port: 0, host: "127.0.0.1" })
      return {
        url: `http://127.0.0.1:${there.port}`,
        close: async () => {
          await there.close(2_000)
          await rm(folder, { recursive: true, force: true })
        }
      }
    },
    close: async () => {
      await serving.close(2_000)
      await client.end()
      await Effect.runPromise(Scope.close(scope, Exit.void))
      await rm(home, { recursive: true, force: true })
      const broken = confidencesBroken()
      if (broken.length > 0)
        throw new Error(`Confidences stand in logs or refusals:\n${broken.slice(0, 20).join("\n")}`)
    }
  }
}

/** A picture that light encoders take for one; another each time. */
export const picture = (width = 640): Uint8Array =>
  pretendedMedium({ kind: "image", width, height: 480, about: newKey() })

/** What a report needs beside its evidence. */
export const reportBody = (attachments: ReadonlyArray<string>, data: Readonly<Record<string, unknown>> = {}) => ({
  data: { offence: "red-light", occurredAt: new Date(Date.now() - 60_000).toISOString(), ...data },
  place,
  attachments
})

/** Uploads a picture and reports it. */
export const report = async (client: Client, data: Readonly<Record<string, unknown>> = {}) => {
  const { answer, id } = await upload(client, picture(), "photo.jpg")
  if (answer.status !== 201) throw new Error(`The picture was not taken: ${answer.text}`)
  const made = await client.post("/v1/cases/traffic-report", reportBody([id], data), { "idempotency-key": newKey() })
  if (made.status !== 201) throw new Error(`The report was not taken: ${made.text}`)
  return { id: String(made.body.id), attachment: id, made }
}
