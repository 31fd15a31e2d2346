/**
 * The reference server: listens for a city, drains on a signal, and knows the embedded set of plugins.
 */
export { defaults, type DefaultsOptions } from "./defaults.ts"
export { edgeStatus, type EdgeOptions, type EdgeStatus, openEdge } from "./edge/index.ts"
export { type Serving, serve, type ServeOptions } from "./serve.ts"
export { drainOnSignal } from "./signals.ts"
export {
  type ConfigFile,
  defineConfig,
  type Demo,
  type DeploymentConfig,
  type Environment,
  environmentOf
} from "./defineConfig.ts"
