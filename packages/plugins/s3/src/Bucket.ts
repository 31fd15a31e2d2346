/**
 * A connection to one bucket: the client, and what every request needs.
 */
import { S3Client } from "@aws-sdk/client-s3"
import type { BlobStoreError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { S3Config } from "./config.ts"
import { fromServer } from "./errors.ts"

export interface Bucket {
  readonly client: S3Client
  readonly name: string
  readonly prefix: string
  readonly partSize: number
  readonly checksums: S3Config["checksums"]
  /** Bucket and full key of a blob, as requests want them. */
  readonly at: (key: string) => { readonly Bucket: string; readonly Key: string }
  /** Folder on this machine for bodies that must be sent twice. */
  readonly scratch: string
}

/** The client would write to the console; what goes wrong comes back as an error instead. */
const silent = { trace: () => {}, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

const makeClient = (config: S3Config) => {
  const when = config.checksums === "supported" ? "WHEN_SUPPORTED" : "WHEN_REQUIRED"
  return new S3Client({
    ...(config.endpoint === undefined ? {} : { endpoint: config.endpoint }),
    region: config.region,
    forcePathStyle: config.forcePathStyle ?? config.endpoint !== undefined,
    credentials: {
      accessKeyId: config.accessKeyId,
      secretAccessKey: Redacted.value(config.secretAccessKey)
    },
    requestChecksumCalculation: when,
    responseChecksumValidation: when,
    // Waiting for "100 Continue" would cost every part a connection of its own.
    expectContinueHeader: false,
    maxAttempts: 3,
    logger: silent,
    requestHandler: { connectionTimeout: 5_000, socketTimeout: 60_000 }
  })
}

export const openBucket = (config: S3Config, scratch: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => makeClient(config)),
      (client) => Effect.sync(() => client.destroy())
    ),
    (client): Bucket => ({
      client,
      name: config.bucket,
      prefix: config.prefix,
      partSize: config.partSize,
      checksums: config.checksums,
      at: (key) => ({ Bucket: config.bucket, Key: config.prefix + key }),
      scratch
    })
  )

/** Sends one request; an interruption takes it back. */
export const call = <A>(
  operation: string,
  key: string,
  send: (options: { readonly abortSignal: AbortSignal }) => Promise<A>
): Effect.Effect<A, BlobStoreError> =>
  Effect.tryPromise({ try: (abortSignal) => send({ abortSignal }), catch: fromServer(operation, key) })
