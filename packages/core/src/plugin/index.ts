/**
 * Everything a plugin author needs: the ports, the plugin contract, and what the host offers.
 */
export * from "../ports/index.ts"
export {
  apiVersion,
  definePlugin,
  PluginError,
  type ConfigSchema,
  type Plugin,
  type PluginDefinition,
  type PluginFacts,
  type PluginFactory,
  type PluginHealth,
  type PortTag
} from "./definePlugin.ts"
export type { AsyncPortTag, AsyncShape } from "./asyncPorts.ts"
export {
  definePluginAsync,
  type AnyConfigSchema,
  type AsyncPluginDefinition,
  type AsyncPort
} from "./definePluginAsync.ts"
export { countRefusal, makeIntake, type Intake } from "./ingest/intake.ts"
export { makeIngestSessions, type IngestSessions } from "./ingest/sessions.ts"
export { makeIngestCommands, type HandOver, type IngestCommands, type Takes } from "./ingest/commands.ts"
export { detectors } from "./detectors.ts"
export { sendOnce } from "./sendOnce.ts"
export { memoryLimiter, layerMemoryLimiter } from "./memoryLimiter.ts"
export { Host, HostDatabase, type HostServices } from "./Host.ts"
export { HostCallbacks, type CallbackAnswer, type CallbackRequest } from "./HostCallbacks.ts"
export { HostOutward, type OutwardAnswer, OutwardError, type OutwardRequest } from "./HostOutward.ts"
