/**
 * Blobs on MinIO and any S3: for cities with more than one machine.
 */
import { BlobStore, definePlugin } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { capabilities, S3Config } from "./config.ts"

export { S3Config } from "./config.ts"

export const s3 = definePlugin({
  id: "@mahalla/s3",
  apiVersion: 1,
  config: S3Config,
  provides: [BlobStore],
  capabilities,
  // The SDK is loaded by cities that use it: it costs every start a fifth of a second.
  layer: (config) =>
    Layer.unwrap(
      Effect.map(
        Effect.promise(() => import("./S3BlobStore.ts")),
        ({ S3BlobStore }) => S3BlobStore(config)
      )
    ),
  health: () =>
    BlobStore.pipe(
      Effect.flatMap((store) => store.check),
      Effect.as({ status: "up" } as const),
      Effect.catch((error) => Effect.succeed({ status: "down", detail: error.message } as const))
    )
})
