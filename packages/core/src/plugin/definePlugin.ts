/**
 * The plugin contract. A plugin is a plain value: it says what it is, which ports it provides and how its configuration looks; only
 * its layer, run by the engine, opens anything.
 */
import * as Data from "effect/Data"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type * as Scope from "effect/Scope"
import type { StandardSchemaV1 } from "effect/StandardSchema"
import type { HostServices } from "./Host.ts"

/** The plugin contract's version. The host takes this one and the one before it. */
export const apiVersion = 1

/** A plugin that could not be used: what, why, and what to do next. */
export class PluginError extends Data.TaggedError("PluginError")<{
  readonly plugin: string
  readonly instance: string
  readonly reason: "InvalidConfig" | "ApiVersion" | "Missing" | "Duplicate" | "Failed"
  readonly message: string
  readonly cause?: unknown
}> {}

export interface PluginHealth {
  readonly status: "up" | "degraded" | "down"
  readonly detail?: string
}

/** A port's tag: the class that `Context.Service` made. */
export type PortTag<Id = unknown> = Context.Key<Id, unknown>
export type Identifiers<Tags extends ReadonlyArray<PortTag>> =
  Tags[number] extends Context.Key<infer Id, unknown> ? Id : never

/** A configured plugin, as `createCity` takes it. */
export interface Plugin {
  readonly id: string
  readonly apiVersion: number
  /** Tells apart several instances of one plugin; the id by default. */
  readonly instance: string
  readonly provides: ReadonlyArray<PortTag>
  readonly capabilities: Readonly<Record<string, unknown>>
  /** Decodes the configuration and opens the ports. */
  readonly layer: Layer.Layer<never, PluginError, HostServices>
  /** Asked with the plugin's own ports in context. */
  // oxlint-disable-next-line typescript/no-explicit-any -- the engine provides whatever `provides` lists; its type is erased here
  readonly health: Effect.Effect<PluginHealth, never, any>
}

/** What both ways of defining a plugin have in common. */
export interface PluginFacts {
  /** Stable and scoped: `@mahalla/s3`. */
  readonly id: string
  /** The contract it was written for; see `apiVersion`. */
  readonly apiVersion: number
  /** Facts about optional behaviour, for people and tests. */
  readonly capabilities?: Readonly<Record<string, unknown>>
}

/** A configuration schema that decodes without services. */
export type ConfigSchema = Schema.Codec<unknown, unknown>

export interface PluginDefinition<
  Config extends ConfigSchema,
  Tags extends ReadonlyArray<PortTag>,
  E
> extends PluginFacts {
  readonly config: Config
  readonly provides: Tags
  readonly layer: (config: Config["Type"]) => Layer.Layer<Identifiers<Tags>, E, HostServices>
  /** Default: always up. */
  readonly health?: (config: Config["Type"]) => Effect.Effect<PluginHealth, never, Identifiers<Tags> | Scope.Scope>
}

/** Makes configured plugins; `instance` names a second one. */
export interface PluginFactory<Input> {
  (config: Input, options?: { readonly instance?: string }): Plugin
  readonly id: string
}

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

/** Decodes with an Effect schema. Unknown keys are refused, and no issue repeats a value: it may be a secret. */
export const decodeWith =
  <Config extends ConfigSchema>(schema: Config) =>
  (input: unknown): Effect.Effect<Config["Type"], StandardSchemaV1.FailureResult> =>
    Schema.decodeUnknownEffect(schema, { errors: "all", onExcessProperty: "error", reportInput: false })(input).pipe(
      Effect.mapError((error) => issuesOf(error.issue))
    )

const nameOf = (issue: StandardSchemaV1.Issue): string =>
  (issue.path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".")

const invalid = (plugin: string, instance: string, failure: StandardSchemaV1.FailureResult) =>
  new PluginError({
    plugin,
    instance,
    reason: "InvalidConfig",
    message: `Configuration of plugin ${instance} is not usable: ${failure.issues
      .map((issue) => `${nameOf(issue) || "the whole"}: ${issue.message}`)
      .join("; ")}. Correct it in the city's configuration and start again.`
  })

/** The part that both ways share: a factory from a decoder and a layer. */
export const makeFactory = <Config, Input, Id, E>(
  facts: PluginFacts,
  parts: {
    readonly provides: ReadonlyArray<PortTag>
    readonly decode: (input: unknown) => Effect.Effect<Config, StandardSchemaV1.FailureResult>
    readonly layer: (config: Config) => Layer.Layer<Id, E, HostServices>
    readonly health: (config: Config) => Effect.Effect<PluginHealth, never, Id | Scope.Scope>
  }
): PluginFactory<Input> => {
  const { id } = facts
  const factory = (input: Input, options?: { readonly instance?: string }): Plugin => {
    const instance = options?.instance ?? id
    const decoded = Effect.mapError(parts.decode(input), (failure) => invalid(id, instance, failure))
    const failed = (cause: unknown) =>
      cause instanceof PluginError
        ? cause
        : new PluginError({
            plugin: id,
            instance,
            reason: "Failed",
            message: `Plugin ${instance} did not start: ${cause instanceof Error ? cause.message : String(cause)}`,
            cause
          })
    const layer = Layer.unwrap(
      Effect.map(decoded, (config) =>
        parts.layer(config).pipe(Layer.catch((error: E) => Layer.effectDiscard(Effect.fail(failed(error)))))
      )
    )
    return {
      id,
      apiVersion: facts.apiVersion,
      instance,
      provides: parts.provides,
      capabilities: facts.capabilities ?? {},
      layer: layer as Layer.Layer<never, PluginError, HostServices>,
      health: decoded.pipe(
        Effect.flatMap(parts.health),
        Effect.scoped,
        Effect.catch((error) => Effect.succeed<PluginHealth>({ status: "down", detail: error.message }))
      )
    }
  }
  return Object.assign(factory, { id })
}

/**
 * Defines a plugin with Effect. Unknown configuration keys are refused, and an error names the key's path.
 *
 * @example
 * export const s3 = definePlugin({ id: "@mahalla/s3", apiVersion: 1, config: S3Config, provides: [BlobStore], layer: S3BlobStore })
 */
export const definePlugin = <Config extends ConfigSchema, const Tags extends ReadonlyArray<PortTag>, E>(
  definition: PluginDefinition<Config, Tags, E>
): PluginFactory<Config["Encoded"]> =>
  makeFactory(definition, {
    provides: definition.provides,
    decode: decodeWith(definition.config),
    layer: definition.layer,
    health: (config) => definition.health?.(config) ?? Effect.succeed<PluginHealth>({ status: "up" })
  })
