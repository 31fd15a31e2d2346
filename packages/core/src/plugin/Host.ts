/**
 * What a plugin may ask of its host, and nothing else: a layer that needs any other service does not compile.
 */
import * as Context from "effect/Context"
import type * as Redacted from "effect/Redacted"
import type { HostCallbacks } from "./HostCallbacks.ts"
import type { HostOutward } from "./HostOutward.ts"

export class Host extends Context.Service<
  Host,
  {
    /** Name of this instance of the plugin in the city's configuration; the plugin's id when there is only one. */
    readonly instance: string
    /** Folder for what the plugin must keep, made on demand: `MAHALLA_HOME/plugins/<instance>`. */
    readonly home: string
    /** Folder for what may vanish at any moment. */
    readonly scratch: string
    /** `dev` allows what would be careless in production; plugins refuse such things otherwise. */
    readonly mode: "dev" | "production"
  }
>()("@mahalla/plugin/Host") {}

/** The city's database, after migration, for plugins that carry messages over it. Not for the plugin that provides Storage. */
export class HostDatabase extends Context.Service<
  HostDatabase,
  {
    /** Log-in of the cross-tenant role `platform`. */
    readonly platform: Redacted.Redacted<string>
    /** The same role on a connection that may LISTEN: never through a pooler. */
    readonly listen: Redacted.Redacted<string>
    /** True: no prepared statements on `platform`. */
    readonly pooled: boolean
  }
>()("@mahalla/plugin/HostDatabase") {}

export type HostServices = Host | HostCallbacks | HostDatabase | HostOutward
