/**
 * Blobs in a folder: for one machine, and for the first day. Several machines need `@mahalla/s3`.
 */
import { BlobStore, definePlugin } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { capabilities, FilesystemBlobStore } from "./FilesystemBlobStore.ts"

export const FilesystemConfig = Schema.Struct({
  /** Absolute, or relative to the working directory. Default: `blobs` in the plugin's own folder. */
  folder: Schema.optionalKey(Schema.NonEmptyString)
})

export const filesystem = definePlugin({
  id: "@mahalla/filesystem",
  apiVersion: 1,
  config: FilesystemConfig,
  provides: [BlobStore],
  capabilities,
  layer: FilesystemBlobStore,
  health: () =>
    BlobStore.pipe(
      Effect.flatMap((store) => store.check),
      Effect.as({ status: "up" } as const),
      Effect.catch((error) => Effect.succeed({ status: "down", detail: error.message } as const))
    )
})
