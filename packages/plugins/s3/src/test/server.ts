/**
 * The S3 server of the tests: the one that `MAHALLA_TEST_S3_ENDPOINT` names, else a Ceph RADOS Gateway of their own.
 */
import { randomUUID } from "node:crypto"
import { rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Host, type BlobStore, type Plugin } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { startRadosgw, type RadosGateway } from "../../../../../scripts/services/radosgw.ts"

export interface TestServer {
  readonly config: {
    readonly endpoint: string
    readonly region: string
    readonly bucket: string
    readonly accessKeyId: string
    readonly secretAccessKey: string
    readonly checksums: "supported" | "required"
  }
  /** Only for our own gateway. */
  readonly admin?: RadosGateway["admin"]
  readonly stop: () => Promise<void>
}

const variable = (name: string, fallback?: string): string => {
  const value = process.env[`MAHALLA_TEST_S3_${name}`] ?? fallback
  if (value === undefined) throw new Error(`MAHALLA_TEST_S3_ENDPOINT is set; set MAHALLA_TEST_S3_${name} too.`)
  return value
}

export const startServer = async (): Promise<TestServer> => {
  const endpoint = process.env["MAHALLA_TEST_S3_ENDPOINT"]
  if (endpoint !== undefined)
    return {
      config: {
        endpoint,
        region: variable("REGION", "us-east-1"),
        bucket: variable("BUCKET", "mahalla-test"),
        accessKeyId: variable("ACCESS_KEY_ID"),
        secretAccessKey: variable("SECRET_ACCESS_KEY"),
        checksums: variable("CHECKSUMS", "supported") === "required" ? "required" : "supported"
      },
      stop: async () => {}
    }
  const { admin, stop, ...config } = await startRadosgw().catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(
      `${why}\nOr set MAHALLA_TEST_S3_ENDPOINT, …_ACCESS_KEY_ID and …_SECRET_ACCESS_KEY to use another S3 server.`
    )
  })
  return { config: { ...config, bucket: "mahalla-test" }, admin, stop }
}

/** A folder that goes with the scope; the plugin makes it when it needs it. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => join(tmpdir(), `mahalla-s3-${randomUUID()}`)),
  (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
)

/** The plugin's layer in a host. The engine knows the ports by `provides`; a test by this type. */
export const hosted = (plugin: Plugin, folder?: string): Layer.Layer<BlobStore, unknown> =>
  Layer.unwrap(
    Effect.map(folder === undefined ? temporaryFolder : Effect.succeed(folder), (scratch) =>
      (plugin.layer as Layer.Layer<never, unknown, Host> as Layer.Layer<BlobStore, unknown, Host>).pipe(
        Layer.provide(Layer.succeed(Host, { instance: plugin.instance, home: scratch, scratch, mode: "dev" }))
      )
    )
  )
