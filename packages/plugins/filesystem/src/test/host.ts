import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Host, type BlobStore, type Plugin } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** A folder that goes with the scope. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "mahalla-filesystem-"))),
  (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
)

/** The plugin's layer in a host whose folder is `home`. The engine knows the ports by `provides`; a test by this type. */
export const hosted = (plugin: Plugin, home: string): Layer.Layer<BlobStore, unknown> =>
  (plugin.layer as Layer.Layer<never, unknown, Host> as Layer.Layer<BlobStore, unknown, Host>).pipe(
    Layer.provide(Layer.succeed(Host, { instance: plugin.instance, home, scratch: join(home, "scratch"), mode: "dev" }))
  )
