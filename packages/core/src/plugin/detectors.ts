/**
 * Several detectors as one, for a city that has one for plates and another for something else: each sees all frames, one after the other,
 * and their findings come together.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Detector, DetectorError, type DetectRequest } from "../ports/Detector.ts"
import { apiVersion, type Plugin, PluginError, type PluginHealth } from "./definePlugin.ts"

type Service = Detector["Service"]

/** Where one fails, all do: what it would have found is to be hidden and nobody knows where it is. */
const together = (parts: ReadonlyArray<Service>): Service => ({
  model: parts.map(({ model }) => model).join("+"),
  detect: Effect.fn("Detectors.detect")(
    function* (request: DetectRequest) {
      const findings = (yield* Effect.forEach(parts, (part) => part.detect(request))).flat()
      return findings.sort((a, b) => b.confidence - a.confidence || a.frame - b.frame)
    },
    (effect, { timeout }) =>
      timeout === undefined
        ? effect
        : Effect.timeoutOrElse(effect, { duration: timeout, orElse: () => Effect.fail(late(timeout)) })
  )
})

const late = (timeout: number) =>
  new DetectorError({
    reason: "Timeout",
    operation: "detect",
    subject: "frames",
    message: `All detectors together took longer than ${timeout} ms. Allow more, or hand in fewer frames.`,
    retryable: true
  })

/** Opens a plugin and takes its detector, refusing one that is something else. */
const opened = Effect.fnUntraced(function* (plugin: Plugin) {
  if (plugin.provides.length !== 1 || plugin.provides[0] !== Detector)
    return yield* new PluginError({
      plugin: plugin.id,
      instance: plugin.instance,
      reason: "Missing",
      message: `Plugin ${plugin.instance} is not a detector alone. Give it to the city by itself, outside detectors([…]).`
    })
  return Context.get((yield* Layer.build(plugin.layer)) as Context.Context<Detector>, Detector)
})

const worst: ReadonlyArray<PluginHealth["status"]> = ["down", "degraded", "up"]

/**
 * One plugin out of several detectors. Its `model` joins theirs: `plates/1.2.0+masks/2.0.0`. They share one home and one scratch folder.
 *
 * @example
 * plugins: [...defaults({ detector: detectors([plates({}), masks({})]) })]
 */
export const detectors = (plugins: ReadonlyArray<Plugin>): Plugin => ({
  id: plugins.map(({ id }) => id).join("+"),
  // One that was written for another contract has the whole refused.
  apiVersion: plugins.find((plugin) => plugin.apiVersion !== apiVersion)?.apiVersion ?? apiVersion,
  instance: plugins.map(({ instance }) => instance).join("+"),
  provides: [Detector],
  capabilities: Object.fromEntries(plugins.map(({ capabilities, instance }) => [instance, capabilities])),
  layer: Layer.effect(Detector, Effect.map(Effect.forEach(plugins, opened), together)) as unknown as Plugin["layer"],
  health: Effect.map(
    Effect.forEach(plugins, ({ health }) => health as Effect.Effect<PluginHealth>),
    (all) =>
      worst.map((status) => all.find((one) => one.status === status)).find((one) => one !== undefined) ?? {
        status: "up"
      }
  )
})
