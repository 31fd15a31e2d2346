/** Opening plugins: the gates of the contract, one port one plugin, many for channels and rails. */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { makeHostOutward } from "../kernel/outward/post.ts"
import { Authorities, DeviceTransports, IdentityRegisters, Messengers, PaymentRails } from "../kernel/ports.ts"
import { apiVersion, type Plugin, PluginError, type PortTag } from "../plugin/definePlugin.ts"
import { Host, HostDatabase } from "../plugin/Host.ts"
import { HostCallbacks } from "../plugin/HostCallbacks.ts"
import { HostOutward } from "../plugin/HostOutward.ts"
import { Authority, DeviceIngest, IdentityCheck, Messenger, Payments, Storage } from "../ports/index.ts"
import { Callbacks } from "./callbacks.ts"
import type { CityConfig } from "./config.ts"
import type { Erased } from "../kernel/Erased.ts"

/** Ports of which a city may have several, told apart by the plugin's instance name. */
const many: ReadonlySet<PortTag> = new Set<PortTag>([Authority, DeviceIngest, IdentityCheck, Messenger, Payments])

export const flatten = (plugins: CityConfig["plugins"]): ReadonlyArray<Plugin> =>
  plugins.flatMap((entry) => ("id" in entry ? [entry] : entry))

/** Refuses what cannot work together, naming the plugin and the next step. */
export const checkPlugins = (plugins: ReadonlyArray<Plugin>): Effect.Effect<void, PluginError> => {
  const refuse = (plugin: Plugin, reason: PluginError["reason"], message: string) =>
    Effect.fail(new PluginError({ plugin: plugin.id, instance: plugin.instance, reason, message }))
  const names = new Set<string>()
  const owners = new Map<PortTag, Plugin>()
  for (const plugin of plugins) {
    if (plugin.apiVersion !== apiVersion && plugin.apiVersion !== apiVersion - 1) {
      return refuse(
        plugin,
        "ApiVersion",
        `Plugin ${plugin.id} was written for plugin contract ${plugin.apiVersion}; this Mahalla takes ${apiVersion - 1 || apiVersion} to ${apiVersion}. Install the release of the plugin that fits.`
      )
    }
    if (names.has(plugin.instance)) {
      return refuse(
        plugin,
        "Duplicate",
        `Two plugins are named ${plugin.instance}. Give the second one a name of its own: { instance: "…" }.`
      )
    }
    names.add(plugin.instance)
    for (const port of plugin.provides) {
      const other = owners.get(port)
      if (other !== undefined && !many.has(port)) {
        return refuse(
          plugin,
          "Duplicate",
          `Plugins ${other.instance} and ${plugin.instance} both provide ${port.key}. Keep one of them.`
        )
      }
      owners.set(port, plugin)
    }
  }
  return Effect.void
}

/** In folders and in addresses. */
const folderName = (instance: string) => instance.replace(/^@/, "").replaceAll(/[^A-Za-z0-9._-]/g, "-")

/** Opens one plugin; the scope closes it. */
export const openPlugin = Effect.fnUntraced(function* (
  plugin: Plugin,
  config: CityConfig,
  callbacks: Callbacks["Service"],
  database: HostDatabase["Service"] | undefined
) {
  const home = join(config.home, "plugins", folderName(plugin.instance))
  const scratch = join(config.home, "scratch", folderName(plugin.instance))
  yield* Effect.try({
    try: () => {
      mkdirSync(home, { recursive: true, mode: 0o700 })
      mkdirSync(scratch, { recursive: true, mode: 0o700 })
    },
    catch: (cause) =>
      new PluginError({
        plugin: plugin.id,
        instance: plugin.instance,
        reason: "Failed",
        message: `The folder ${home} cannot be made: ${String(cause)}. Check the rights of MAHALLA_HOME.`,
        cause
      })
  })
  const host = Layer.succeed(Host, { instance: plugin.instance, home, scratch, mode: config.mode ?? "production" })
  const outward = Layer.merge(
    Layer.succeed(HostOutward, makeHostOutward(config.outwardNetworks ?? [])),
    Layer.succeed(HostCallbacks, callbacks.of(folderName(plugin.instance)))
  )
  const withDatabase = database === undefined ? host : Layer.merge(host, Layer.succeed(HostDatabase, database))
  return (yield* Layer.build(
    Layer.provide(plugin.layer, Layer.merge(outward, withDatabase as Layer.Layer<Host | HostDatabase>))
  )) as Context.Context<unknown>
})

/** What each plugin has opened, by instance: of a port that several provide the city's context holds but one. */
export class OpenedPlugins extends Context.Service<OpenedPlugins, ReadonlyMap<string, Context.Context<unknown>>>()(
  "@mahalla/engine/OpenedPlugins"
) {}

/** Opens everything but Storage, in the given order, and gathers what they provide. */
export const openPorts = Effect.fnUntraced(function* (
  plugins: ReadonlyArray<Plugin>,
  config: CityConfig,
  callbacks: Callbacks["Service"],
  database: HostDatabase["Service"]
) {
  let context = Context.empty() as Context.Context<Erased>
  const messengers = new Map<string, Messenger["Service"]>()
  const rails = new Map<string, Payments["Service"]>()
  const registers = new Map<string, IdentityCheck["Service"]>()
  const authorities = new Map<string, Authority["Service"]>()
  const transports = new Map<string, DeviceIngest["Service"]>()
  const all = new Map<string, Context.Context<unknown>>()
  for (const plugin of plugins) {
    if (plugin.provides.includes(Storage)) continue
    const opened = yield* openPlugin(plugin, config, callbacks, database)
    all.set(plugin.instance, opened)
    const messenger = Context.getOption(opened, Messenger)
    if (messenger._tag === "Some") messengers.set(plugin.instance, messenger.value)
    const rail = Context.getOption(opened, Payments)
    if (rail._tag === "Some") rails.set(plugin.instance, rail.value)
    const register = Context.getOption(opened, IdentityCheck)
    if (register._tag === "Some") registers.set(plugin.instance, register.value)
    const authority = Context.getOption(opened, Authority)
    if (authority._tag === "Some") authorities.set(plugin.instance, authority.value)
    const transport = Context.getOption(opened, DeviceIngest)
    if (transport._tag === "Some") transports.set(plugin.instance, transport.value)
    context = Context.merge(context, opened)
  }
  return Context.merge(
    context,
    Context.make(Messengers, messengers).pipe(
      Context.add(PaymentRails, rails),
      Context.add(IdentityRegisters, registers),
      Context.add(Authorities, authorities),
      Context.add(DeviceTransports, transports),
      Context.add(OpenedPlugins, all),
      Context.add(Callbacks, callbacks)
    )
  )
})
