/**
 * The plugin contract for authors who do not use Effect: async functions, async iterables, and errors that are thrown.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { StandardSchemaV1 } from "effect/StandardSchema"
import type * as Context from "effect/Context"
import { bridges, type AsyncPortTag, type AsyncShape, type ShapeOf } from "./asyncPorts.ts"
import { toService } from "./asyncService.ts"
import {
  decodeWith,
  makeFactory,
  PluginError,
  type ConfigSchema,
  type PluginFacts,
  type PluginFactory,
  type PluginHealth
} from "./definePlugin.ts"
import { Host } from "./Host.ts"

/** A configuration schema of Effect, or any Standard Schema (Zod, Valibot, ArkType); the latter should refuse unknown keys itself. */
export type AnyConfigSchema = ConfigSchema | StandardSchemaV1

type Output<Config extends AnyConfigSchema> = Config extends ConfigSchema
  ? Config["Type"]
  : Config extends StandardSchemaV1<infer _, infer Out>
    ? Out
    : never
type Input<Config extends AnyConfigSchema> = Config extends ConfigSchema
  ? Config["Encoded"]
  : Config extends StandardSchemaV1<infer In, infer _>
    ? In
    : never

/** A port as async functions; see `AsyncShape`. An author may throw the port's error class; anything else becomes `Unavailable`. */
export type AsyncPort<Tag extends AsyncPortTag> = AsyncShape<ShapeOf<Tag>> & {
  /** Called once, when the city closes. */
  readonly close?: () => Promise<void>
  /** Default: always up. */
  readonly health?: () => Promise<PluginHealth>
}

export interface AsyncPluginDefinition<
  Config extends AnyConfigSchema,
  Tag extends AsyncPortTag,
  Port extends AsyncPort<Tag> = AsyncPort<Tag>
> extends PluginFacts {
  readonly config: Config
  /** One port; a plugin with several uses `definePlugin`. */
  readonly provides: Tag
  /** Rejects when the plugin cannot start; the reason is shown to the operator. */
  readonly create: (config: Output<Config>, host: Host["Service"]) => Promise<Port>
}

/** Where a service keeps its author's `health`; a symbol, so that it survives the service being wrapped by spreading. */
const healthKey = Symbol.for("@mahalla/plugin/health")

const decodeStandard =
  (schema: StandardSchemaV1) =>
  (input: unknown): Effect.Effect<unknown, StandardSchemaV1.FailureResult> =>
    Effect.flatMap(
      Effect.promise(async () => schema["~standard"].validate(input)),
      (result) => (result.issues === undefined ? Effect.succeed(result.value) : Effect.fail(result))
    )

const bridgeOf = (tag: AsyncPortTag) => {
  const found = Object.values(bridges).find((bridge) => bridge.tag.key === tag.key)
  if (found === undefined) throw new Error(`No port with the key ${tag.key} can be written with async functions.`)
  return found as unknown as Parameters<typeof toService>[0] & { readonly complete?: (service: object) => object }
}

/**
 * Defines a plugin with async functions. The conformance suites run against it as against any other plugin.
 *
 * @example
 * export const shelf = definePluginAsync({
 *   id: "@town/shelf",
 *   apiVersion: 1,
 *   config: z.strictObject({ folder: z.string() }),
 *   provides: BlobStore,
 *   create: async ({ folder }, host) => new Shelf(folder)
 * })
 */
export const definePluginAsync = <
  const Config extends AnyConfigSchema,
  Tag extends AsyncPortTag,
  // Its own parameter, so that literals in what an author returns stay literals.
  const Port extends AsyncPort<Tag>
>(
  definition: AsyncPluginDefinition<Config, Tag, Port>
): PluginFactory<Input<Config>> => {
  const { config, provides } = definition
  const bridge = bridgeOf(provides)
  const tag = provides as unknown as Context.Key<unknown, object>
  const decode = Schema.isSchema(config)
    ? decodeWith(config as ConfigSchema)
    : decodeStandard(config as StandardSchemaV1)

  const open = Effect.fnUntraced(function* (decoded: Output<Config>) {
    const host = yield* Host
    const port = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () => definition.create(decoded, host) as unknown as Promise<AsyncPort<AsyncPortTag>>,
        catch: (cause) =>
          new PluginError({
            plugin: definition.id,
            instance: host.instance,
            reason: "Failed",
            message: `Plugin ${host.instance} did not start: ${cause instanceof Error ? cause.message : String(cause)}`,
            cause
          })
      }),
      (port) =>
        Effect.tryPromise(async () => port.close?.()).pipe(
          Effect.catch((error) => Effect.logWarning(`Plugin ${host.instance} did not close in order`, error.cause))
        )
    )
    const service = toService(bridge, port as unknown as Record<string, unknown>)
    return { ...(bridge.complete?.(service) ?? service), [healthKey]: async () => port.health?.() }
  })

  const health = Effect.gen(function* () {
    const service = (yield* tag) as { readonly [healthKey]?: () => Promise<PluginHealth | undefined> }
    const said = yield* Effect.tryPromise(async () => service[healthKey]?.())
    return said ?? ({ status: "up" } satisfies PluginHealth)
  }).pipe(
    Effect.catch((error) =>
      Effect.succeed<PluginHealth>({
        status: "down",
        detail: error.cause instanceof Error ? error.cause.message : String(error.cause)
      })
    )
  )

  return makeFactory(definition, {
    provides: [provides],
    decode: decode as (input: unknown) => Effect.Effect<Output<Config>, StandardSchemaV1.FailureResult>,
    layer: (decoded: Output<Config>) => Layer.effect(tag, open(decoded)),
    health: () => health
  })
}
