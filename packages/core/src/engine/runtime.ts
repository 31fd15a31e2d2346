/** Puts a city together: storage, migration, roles, plugins, kernel, modules; everything in one scope. */
import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import { join } from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { SqlError } from "effect/sql/SqlError"
import { Attachments } from "../kernel/attachments/Attachments.ts"
import { CaseTypes, makeCaseTypes, storeCaseTypes } from "../kernel/cases/registry.ts"
import { Deployment } from "../kernel/Deployment.ts"
import { Database, layerDatabase, withPlatform } from "../kernel/db/Database.ts"
import { askAsOwner, compareMigrations, migrate, type MigrationError } from "../kernel/db/migrate.ts"
import { deriveLogins, ensureRoles, loginUrl } from "../kernel/db/roles.ts"
import { deadlineJob } from "../kernel/deadlines/job.ts"
import { EventSignal } from "../kernel/events/append.ts"
import { JobSignal } from "../kernel/jobs/enqueue.ts"
import { Issuer, Keys } from "../kernel/keys/Keys.ts"
import { kernelMigrations } from "../kernel/migrations.ts"
import type { Module } from "../kernel/module/defineModule.ts"
import { makeInside } from "../kernel/outward/address.ts"
import { OutwardNetworks } from "../kernel/outward/networks.ts"
import { eraseJob } from "../kernel/personal/erase.ts"
import { exportJob } from "../kernel/personal/export.ts"
import { kernelPerson } from "../kernel/personal/kernelPerson.ts"
import { kernelRetention } from "../kernel/personal/kernelRetention.ts"
import { RetentionRules } from "../kernel/personal/Retention.ts"
import { kernelParts } from "../kernel/personal/kernelParts.ts"
import { checkDatabase, type Masters, mastersOf } from "../kernel/personal/master.ts"
import { PersonParts, SealedParts } from "../kernel/personal/registry.ts"
import { layerVault } from "../kernel/personal/Vault.ts"
import { Policy } from "../kernel/policy/Policy.ts"
import { knows, permissionsOf } from "../kernel/policy/permissions.ts"
import { presetRoles, rolesOf } from "../kernel/policy/presets.ts"
import { makeRoleBook, RoleBook } from "../kernel/policy/roles.ts"
import { makeSignals, Signals } from "../kernel/Signals.ts"
import { kernelSchedules } from "../kernel/schedules.ts"
import { EventFeed } from "../kernel/live/EventFeed.ts"
import { LiveRights } from "../kernel/live/LiveRights.ts"
import { PluginError, type Plugin, type PortTag } from "../plugin/definePlugin.ts"
import { EventBus, Limiter, Storage, type StorageSettings } from "../ports/index.ts"
import { SharedTransactions } from "../kernel/idempotency/shared.ts"
import { StaffNeedsSecondFactor } from "../kernel/http/secondFactor.ts"
import { AccessTokens } from "../kernel/http/tokens.ts"
import { layerAuthentication } from "./authenticate.ts"
import { relaySignals, startBackground } from "./background.ts"
import { makeCallbacks } from "./callbacks.ts"
import { CityError, type CityConfig, cityError } from "./config.ts"
import { layerLogging } from "./logging.ts"
import { checkPlugins, flatten, openPlugin, openPorts } from "./plugins.ts"
import { deploymentSecret, previousSecret } from "./secret.ts"
import type { Erased } from "../kernel/Erased.ts"

/** Everything a running city holds; what is inside is typed where it is used. */
export interface CityRuntime {
  readonly context: Context.Context<Erased>
  readonly modules: ReadonlyArray<Module>
  readonly plugins: ReadonlyArray<Plugin>
  /** Unique per process. */
  readonly holder: string
  /** True once closing has begun: no new work. */
  readonly closing: () => boolean
}

const asCityError = (error: unknown): CityError => {
  if (error instanceof CityError) return error
  if (error instanceof PluginError) return cityError("Plugin", error.message, error)
  const tagged = error as { _tag?: string; reason?: string; message?: string }
  if (tagged._tag === "MigrationError") {
    const reason = (error as MigrationError).reason
    return cityError(
      reason === "SchemaTooNew" ? "SchemaTooNew" : reason === "Unavailable" ? "Storage" : "Migration",
      tagged.message ?? "",
      error
    )
  }
  if (tagged._tag === "MasterKeyError") return cityError("MasterKey", tagged.message ?? "", error)
  if (tagged._tag === "CaseTypeError") return cityError("CaseType", tagged.message ?? "", error)
  return cityError("Storage", `The city could not start: ${tagged.message ?? String(error)}`, error)
}

/** Modules in an order in which each comes after those it requires. */
const orderModules = (modules: ReadonlyArray<Module>): ReadonlyArray<Module> => {
  const byId = new Map(modules.map((module) => [module.id, module]))
  if (byId.size !== modules.length) throw cityError("Config", "Two modules have the same id. Remove one of them.")
  const ordered: Array<Module> = []
  const visit = (module: Module, trail: ReadonlyArray<string>): void => {
    if (ordered.includes(module)) return
    if (trail.includes(module.id))
      throw cityError("Config", `Modules require each other in a circle: ${[...trail, module.id].join(" → ")}`)
    for (const id of module.requires) {
      const needed = byId.get(id)
      if (needed === undefined)
        throw cityError("Config", `Module ${module.id} requires the module ${id}. Add it to the city's modules.`)
      visit(needed, [...trail, module.id])
    }
    ordered.push(module)
  }
  for (const module of modules) visit(module, [])
  return ordered
}

/** Throws where an address or a network is none, and where a token can be guessed. */
const checkConfig = ({ audit, metricsToken, outwardNetworks = [] }: CityConfig): void => {
  makeInside(outwardNetworks)
  const wrong = audit?.webhooks?.find((url) => !URL.canParse(url))
  if (wrong !== undefined) throw new Error("audit.webhooks: an entry is no address. Write it as https://host/path.")
  if (metricsToken !== undefined && metricsToken.length < 32)
    throw new Error("metricsToken is shorter than 32 characters. Make one with: openssl rand -base64 48")
}

interface Connections {
  readonly app: Redacted.Redacted<string>
  readonly platform: Redacted.Redacted<string>
}

const connectionsOf = (settings: StorageSettings, secret: Redacted.Redacted<string>): Connections => {
  const logins = deriveLogins(settings.owner, secret)
  return {
    app: settings.app ?? loginUrl(settings.owner, logins.app),
    platform: settings.platform ?? loginUrl(settings.owner, logins.platform)
  }
}

const directUrl = (url: Redacted.Redacted<string>, settings: StorageSettings): Redacted.Redacted<string> => {
  if (settings.direct === undefined) return url
  const direct = new URL(Redacted.value(url))
  direct.hostname = settings.direct.host
  direct.port = String(settings.direct.port)
  return Redacted.make(direct.toString())
}

/** The log-in failed, and not the way to the server. */
const isRefused = (error: unknown) => error instanceof SqlError && error.reason._tag === "AuthenticationError"

/** Migrates when something is missing; the usual start only looks. `unknown`: what a newer version has migrated compatibly. */
const prepareDatabase = Effect.fnUntraced(function* (
  config: CityConfig,
  settings: StorageSettings,
  secret: Redacted.Redacted<string>,
  masters: Masters,
  modules: ReadonlyArray<Module>
) {
  const migrations = [...kernelMigrations, ...modules.flatMap((module) => module.migrations)]
  const connections = connectionsOf(settings, secret)
  const open = Layer.build(
    layerDatabase({ ...connections, maxConnections: settings.maxConnections, pooled: settings.pooled })
  )
  let refused = false
  const looking = yield* Scope.fork(yield* Effect.scope)
  const current = yield* Scope.provide(open, looking).pipe(
    Effect.flatMap((context) => {
      const { platform } = Context.get(context, Database)
      return Effect.map(
        platform<Erased>`select module, id, name, breaking, checksum from mahalla.migration`.pipe(
          Effect.flatMap((applied) => compareMigrations(migrations, applied)),
          Effect.filterOrFail(
            (state) => state.pending.length === 0,
            () => "pending" as const
          )
        ),
        ({ unknown }) => ({ context, unknown })
      )
    }),
    Effect.tapError((error) => Effect.sync(() => (refused = isRefused(error)))),
    Effect.catch((error) =>
      (error as { _tag?: string })._tag === "MigrationError"
        ? Effect.fail(error as MigrationError)
        : Effect.succeed(undefined)
    )
  )
  if (current !== undefined) return current
  // Another server with our secret may have made the log-ins while we waited for it.
  const stillRefused = Effect.flatMap(open, (context) => Context.get(context, Database).platform`select 1`).pipe(
    Effect.scoped,
    Effect.as(false),
    Effect.catch((error) => Effect.succeed(isRefused(error)))
  )
  // Log-ins are derived from the secret: with another one the database refuses them, and its owner knows which one is right.
  if (refused) yield* askAsOwner(directUrl(settings.owner, settings), (query) => checkDatabase(query, masters))
  if (config.migrate === false) {
    return yield* cityError(
      "Migration",
      "The database is not at this version yet. Bring it there with: mahalla migrate (or start the server, which does it too)."
    )
  }
  // These connections know the schema as it was.
  yield* Scope.close(looking, Exit.void)
  const ownLogins =
    settings.app === undefined || settings.platform === undefined ? deriveLogins(settings.owner, secret) : undefined
  const { unknown } = yield* migrate({
    owner: directUrl(settings.owner, settings),
    migrations,
    // Before log-ins are taken from a server that has the right secret.
    prepare: (query) =>
      Effect.andThen(
        checkDatabase(query, masters),
        Effect.flatMap(refused ? stillRefused : Effect.succeed(false), (refused) =>
          ensureRoles(ownLogins, refused)(query)
        )
      ),
    onApplied: (_, done, total) => Effect.sync(() => config.onProgress?.({ step: "migrate", done, total }))
  })
  return { context: yield* open, unknown }
})

/** Opens the city in the scope. */
export const openCity = (config: CityConfig) =>
  Effect.gen(function* () {
    const plugins = flatten(config.plugins)
    yield* checkPlugins(plugins)
    const modules = yield* Effect.try({ try: () => orderModules(config.modules), catch: (error) => error as CityError })
    yield* Effect.try({
      try: () => checkConfig(config),
      catch: (error) => cityError("Config", (error as Error).message)
    })
    const secret = yield* deploymentSecret(config)
    const masters = mastersOf(secret, yield* previousSecret(config))
    const holder = `${hostname()}:${process.pid}:${randomUUID().slice(0, 8)}`

    const callbacks = makeCallbacks(config.publicUrl)
    const storagePlugin = plugins.find((plugin) => plugin.provides.includes(Storage))
    if (storagePlugin === undefined)
      return yield* cityError("Plugin", "No plugin provides Storage. Add postgres() to the city's plugins.")
    const storageContext = yield* openPlugin(storagePlugin, config, callbacks, undefined)
    const storage = Context.getUnsafe(storageContext as Context.Context<Storage>, Storage)
    const { context: database, unknown } = yield* prepareDatabase(config, storage.settings, secret, masters, modules)

    const { platform } = connectionsOf(storage.settings, secret)
    const ports = yield* openPorts(plugins, config, callbacks, {
      platform,
      listen: directUrl(platform, storage.settings),
      pooled: storage.settings.pooled
    })
    for (const needed of [EventBus, Limiter] as ReadonlyArray<PortTag>) {
      if (Context.getOption(ports as Context.Context<unknown>, needed)._tag === "Some") continue
      const port = needed.key.split("/").at(-1)
      return yield* cityError("Plugin", `No plugin provides ${port}. Add postgres() to the city's plugins.`)
    }
    const signals = yield* makeSignals
    const sealed = [...kernelParts, ...modules.flatMap((module) => module.sealed)]
    const caseTypes = yield* Effect.try({
      try: () => makeCaseTypes(modules.flatMap((module) => module.caseTypes)),
      catch: (error) => cityError("CaseType", (error as Error).message)
    })
    const presets = [...presetRoles, ...modules.flatMap((module) => module.roles), ...(config.roles ?? [])]
    const definitions = caseTypes.all.map((type) => type.definition)
    const typeIds = definitions.map(({ id }) => id)
    const permissions = permissionsOf(
      definitions,
      modules.flatMap((module) => module.permissions)
    )
    const book = makeRoleBook({
      presets,
      caseTypes: typeIds,
      permissions,
      knows: knows(permissions, typeIds, presets)
    })
    const bus = Context.getUnsafe(ports as Context.Context<EventBus>, EventBus)
    const announce = (wake: Effect.Effect<void>, channel: string) =>
      Effect.andThen(wake, Effect.ignore(Effect.forkDetach(Effect.ignore(bus.publish(channel, "")))))
    const keys = yield* Layer.build(Keys.layer(secret))
    const vault = yield* Effect.provideContext(Layer.build(layerVault(masters)), database)
    const logging = yield* Layer.build(
      layerLogging(config.logFormat ?? (config.mode === "dev" ? "readable" : "json"), config.logLevel ?? "Info")
    )
    if (unknown.length > 0) {
      yield* Effect.provideContext(
        Effect.logWarning(
          `A newer Mahalla has changed this database (${unknown.join(", ")}) in a way that this version can work with. Upgrade this server soon.`
        ),
        logging
      )
    }
    let context: Context.Context<Erased> = Context.mergeAll(
      logging as Context.Context<Erased>,
      storageContext as Context.Context<Erased>,
      database as Context.Context<Erased>,
      ports,
      keys as Context.Context<Erased>,
      vault as Context.Context<Erased>,
      Context.make(SealedParts, sealed) as Context.Context<Erased>,
      Context.make(RetentionRules, [
        ...kernelRetention,
        ...modules.flatMap((module) => module.retention)
      ]) as Context.Context<Erased>,
      Context.make(PersonParts, [
        ...kernelPerson,
        ...modules.flatMap((module) => module.people)
      ]) as Context.Context<Erased>,
      Context.make(Signals, signals) as Context.Context<Erased>,
      Context.make(CaseTypes, caseTypes) as Context.Context<Erased>,
      Context.make(Policy, { roles: rolesOf(presets, typeIds) }) as Context.Context<Erased>,
      Context.make(RoleBook, book) as Context.Context<Erased>,
      Context.make(EventSignal, { wake: announce(signals.written.wake, "events") }) as Context.Context<Erased>,
      Context.make(JobSignal, { wake: announce(signals.jobs.wake, "jobs") }) as Context.Context<Erased>
    )
    context = Context.merge(context, yield* Effect.provideContext(Layer.build(Attachments.layer), context))
    context = Context.merge(context, yield* Effect.provideContext(Layer.build(SharedTransactions.layer), context))
    context = Context.merge(context, yield* Effect.provideContext(Layer.build(EventFeed.layer), context))
    context = Context.merge(context, yield* Effect.provideContext(Layer.build(LiveRights.layer), context))
    yield* Effect.provideContext(withPlatform(storeCaseTypes(caseTypes.all)), context)
    const issuer = config.publicUrl ?? "mahalla"
    const deployment = { mode: config.mode ?? "production", publicUrl: config.publicUrl?.replace(/\/$/, "") } as const
    context = Context.mergeAll(
      context,
      Context.make(Deployment, deployment) as Context.Context<Erased>,
      Context.make(Issuer, issuer) as Context.Context<Erased>,
      Context.make(StaffNeedsSecondFactor, config.mode !== "dev") as Context.Context<Erased>,
      Context.make(OutwardNetworks, config.outwardNetworks ?? []) as Context.Context<Erased>
    )
    context = Context.merge(context, yield* Effect.provideContext(Layer.build(AccessTokens.layer(issuer)), context))
    context = Context.merge(context, yield* Effect.provideContext(Layer.build(layerAuthentication(config)), context))
    for (const module of modules) {
      if (module.layer === undefined) continue
      const built = yield* Effect.provideContext(Layer.build(module.layer as Layer.Layer<Erased, unknown>), context)
      context = Context.merge(context, built)
    }
    // Spans that nobody is told of would cost every request a tenth of its time.
    const told = Context.get(context as Context.Context<never>, Tracer.Tracer) !== Tracer.nativeTracer
    context = Context.add(context, References.TracerEnabled, told)
    const works = config.only === undefined || config.only.includes("worker")
    yield* Effect.provideContext(relaySignals, context)
    if (works) {
      yield* Effect.provideContext(
        startBackground({
          holder,
          audit: {
            checkpointEvery: config.audit?.checkpointEvery ?? 60,
            checkpointFolder: config.audit?.checkpointFolder ?? join(config.home, "checkpoints"),
            delivery: {
              webhooks: config.audit?.webhooks ?? [],
              emails: config.audit?.emails ?? [],
              emailEvery: config.audit?.emailEvery ?? 86_400,
              outwardNetworks: config.outwardNetworks ?? []
            }
          },
          jobs: [deadlineJob, eraseJob, exportJob, ...modules.flatMap((module) => module.jobs)],
          consumers: modules.flatMap((module) => module.consumers),
          schedules: [...kernelSchedules, ...modules.flatMap((module) => module.schedules)],
          sealed,
          concurrency: config.jobConcurrency ?? 8
        }),
        context
      )
      yield* Effect.forEach(
        modules.flatMap((module) => module.works),
        (work) => Effect.forkScoped(Effect.provideContext(work, context)),
        { discard: true }
      )
    }
    if (config.only === undefined || config.only.includes("ingest"))
      for (const { listen } of modules)
        if (listen !== undefined) yield* Effect.provideContext(listen as Effect.Effect<void, unknown>, context)
    let closing = false
    yield* Effect.addFinalizer(() => Effect.sync(() => (closing = true)))
    return { context, modules, plugins, holder, closing: () => closing } satisfies CityRuntime
  }).pipe(Effect.mapError(asCityError))
