/** Liveness: the process answers. Readiness: work can begin, with what each part says. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Database } from "../../kernel/db/Database.ts"
import type { PluginHealth } from "../../plugin/definePlugin.ts"
import { OpenedPlugins } from "../plugins.ts"
import type { CityRuntime } from "../runtime.ts"

/** What a plugin's word is about: its own services before others' of the same port. */
const contextOf = ({ context }: CityRuntime, instance: string) => {
  const opened = Context.getOption(context as Context.Context<unknown>, OpenedPlugins)
  const own = opened._tag === "Some" ? opened.value.get(instance) : undefined
  return (
    own === undefined ? context : Context.merge(context as Context.Context<unknown>, own)
  ) as Context.Context<never>
}

/** Every plugin's own word, in at most two seconds. */
export const pluginHealth = (runtime: CityRuntime) =>
  Effect.forEach(
    runtime.plugins,
    (plugin) =>
      (plugin.health as Effect.Effect<PluginHealth>).pipe(
        Effect.provideContext(contextOf(runtime, plugin.instance)),
        Effect.timeoutOption("2 seconds"),
        Effect.map((answer) => ({
          id: plugin.id,
          instance: plugin.instance,
          provides: plugin.provides.map((port) => port.key),
          ...(answer._tag === "Some" ? answer.value : { status: "down" as const, detail: "No answer within 2 seconds" })
        }))
      ),
    { concurrency: "unbounded" }
  )

export const databaseAnswers = Effect.gen(function* () {
  const { app, platform } = yield* Database
  yield* Effect.all([app`select 1`, platform`select 1`], { concurrency: 2 })
  return true
}).pipe(
  Effect.timeout("2 seconds"),
  Effect.catchCause(() => Effect.succeed(false))
)

export const healthRoutes = (runtime: CityRuntime) =>
  Layer.unwrap(
    // Anybody may ask, as often as they like; programs and gateways are asked every two seconds at most.
    Effect.map(Effect.cachedWithTTL(pluginHealth(runtime), "2 seconds"), (health) => routesOf(runtime, health))
  )

const routesOf = (runtime: CityRuntime, health: ReturnType<typeof pluginHealth>) =>
  Layer.mergeAll(
    HttpRouter.add("GET", "/health/live", HttpServerResponse.jsonUnsafe({ status: "up" })),
    HttpRouter.add(
      "GET",
      "/health/ready",
      Effect.gen(function* () {
        const database = yield* databaseAnswers
        const plugins = yield* health
        const ready = database && !runtime.closing()
        return HttpServerResponse.jsonUnsafe(
          {
            status: ready ? "ready" : "not-ready",
            database: database ? "up" : "down",
            plugins: plugins.map(({ instance, status }) => ({ instance, status }))
          },
          { status: ready ? 200 : 503 }
        )
      })
    )
  )
