/** What modules need to know of the deployment they run in. */
import * as Context from "effect/Context"

export interface DeploymentFacts {
  readonly mode: "dev" | "production"
  /** Where the world sees the city, without a slash at the end; undefined where the configuration does not say. */
  readonly publicUrl: string | undefined
}

export class Deployment extends Context.Reference<DeploymentFacts>("@mahalla/kernel/Deployment", {
  defaultValue: () => ({ mode: "production", publicUrl: undefined })
}) {}
