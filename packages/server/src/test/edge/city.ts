/** The small city behind the edge, and what its processes are told. */
import { controlRoom, type CityConfig, identity, security, telemetry } from "@mahalla/core"
import { filesystem } from "@mahalla/filesystem"
import { outboxMessenger } from "@mahalla/outbox-messenger"
import { postgres } from "@mahalla/postgres"
import type { EdgeOptions } from "../../edge/index.ts"

export interface CityTask {
  readonly city: { readonly databaseUrl: string; readonly home: string; readonly port: number }
}
export interface EdgeTask {
  readonly edge: EdgeOptions
}

export const cityConfig = ({ databaseUrl, home }: CityTask["city"]): CityConfig => ({
  home,
  mode: "dev",
  secret: "a secret for the tests of the edge, not for use",
  plugins: [postgres({ url: databaseUrl, maxConnections: 12 }), filesystem({}), outboxMessenger({})],
  modules: [security(), identity(), controlRoom(), telemetry()],
  logFormat: "silent"
})
