import { randomUUID } from "node:crypto"
import { existsSync, readdirSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { inspect } from "node:util"
import { ListMultipartUploadsCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { BlobStore } from "@mahalla/core/plugin"
import { blobStoreSuite } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { s3 } from "./index.ts"
import { startProxy } from "./test/proxy.ts"
import { hosted, startServer, temporaryFolder, type TestServer } from "./test/server.ts"

const MiB = 1024 * 1024
let server: TestServer
beforeAll(async () => {
  server = await startServer()
}, 600_000)
afterAll(() => server?.stop())

type Input = Parameters<typeof s3>[0]
const settings = (change: Partial<Input> = {}): Input => ({
  ...server.config,
  createBucket: true,
  prefix: `${randomUUID()}/`,
  partSize: 5 * MiB,
  ...change
})

blobStoreSuite.run({ describe, it }, { name: "s3", layer: Layer.unwrap(Effect.sync(() => hosted(s3(settings())))) })

type Store = BlobStore["Service"]
const using = <A, E>(input: Input, use: (store: Store) => Effect.Effect<A, E>, scratch?: string) =>
  Effect.flatMap(BlobStore, use).pipe(Effect.provide(hosted(s3(input), scratch)))
const run = <A, E>(effect: Effect.Effect<A, E, never>) => Effect.runPromise(effect)
const client = () =>
  new S3Client({
    ...server.config,
    forcePathStyle: true,
    credentials: { accessKeyId: server.config.accessKeyId, secretAccessKey: server.config.secretAccessKey }
  })
/** `size` bytes that arrive in pieces. */
const body = (size: number, fill = 7) =>
  Stream.fromIterable(Array.from({ length: size / 65_536 }, () => new Uint8Array(65_536).fill(fill))).pipe(
    Stream.rechunk(1)
  )
const words = (store: Store, key: string) => Stream.mkString(Stream.decodeText(store.get(key)))
const text = (said: string) => Stream.make(new TextEncoder().encode(said))
const messageOf = (error: unknown) => (error instanceof Error ? error.message : "")

describe("s3 uploads", () => {
  it("takes back the parts of uploads that failed or were interrupted", () =>
    run(
      Effect.gen(function* () {
        const input = settings()
        yield* using(input, (store) =>
          Effect.gen(function* () {
            yield* Effect.flip(store.put("failed", Stream.concat(body(12 * MiB), Stream.fail("gone"))))
            const writing = yield* Effect.forkChild(
              store.put("interrupted", Stream.concat(body(16 * MiB), Stream.never))
            )
            yield* Effect.sleep("1 second")
            yield* Fiber.interrupt(writing)
          })
        )
        const { Uploads } = yield* Effect.promise(() =>
          client().send(new ListMultipartUploadsCommand({ Bucket: server.config.bucket, Prefix: input.prefix ?? "" }))
        )
        expect(Uploads ?? []).toEqual([])
      })
    ))

  it("leaves nothing in the scratch folder after a large put that had to find its key free", () =>
    run(
      Effect.scoped(
        Effect.gen(function* () {
          const scratch = yield* temporaryFolder
          const putTwice = (store: Store) =>
            Effect.andThen(
              store.put("once", body(12 * MiB), { ifAbsent: true }),
              Effect.flip(store.put("once", body(12 * MiB), { ifAbsent: true }))
            )
          expect(yield* using(settings(), putTwice, scratch)).toMatchObject({ reason: "AlreadyExists" })
          expect(existsSync(scratch) ? readdirSync(scratch) : []).toEqual([])
        })
      )
    ))

  it("knows its own blob again when the server's answer was lost", () =>
    run(
      Effect.scoped(
        Effect.gen(function* () {
          const proxy = yield* startProxy(server.config.endpoint)
          yield* using(settings({ endpoint: proxy.endpoint }), (store) =>
            Effect.gen(function* () {
              const lose = (method: string, query: RegExp) =>
                proxy.next("lose-answer", ({ method: found, url = "" }) => found === method && query.test(url))
              lose("PUT", /small/)
              yield* store.put("small", text("mine"), { ifAbsent: true })
              lose("POST", /large[?].*uploadId/)
              yield* store.put("large", body(12 * MiB))
              lose("PUT", /absent(?!.*partNumber)/)
              yield* store.put("absent", body(12 * MiB), { ifAbsent: true })
              expect(yield* words(store, "small")).toBe("mine")
              expect((yield* store.head("large")).size).toBe(12 * MiB)
              expect((yield* store.head("absent")).size).toBe(12 * MiB)
            })
          )
        })
      )
    ))

  it("fails a read whose connection broke instead of ending it early", () =>
    run(
      Effect.scoped(
        Effect.gen(function* () {
          const proxy = yield* startProxy(server.config.endpoint)
          yield* using(settings({ endpoint: proxy.endpoint }), (store) =>
            Effect.gen(function* () {
              yield* store.put("cut", body(4 * MiB))
              proxy.next("cut-body", ({ method, url = "" }) => method === "GET" && url.includes("cut"))
              const error = yield* Effect.flip(Stream.runDrain(store.get("cut")))
              expect(error).toMatchObject({ reason: "Unavailable", retryable: true, operation: "get" })
              expect((yield* Stream.runCollect(store.get("cut"))).length).toBeGreaterThan(0)
            })
          )
        })
      )
    ))

  it("composes large parts on the server", () =>
    run(
      Effect.scoped(
        Effect.gen(function* () {
          const proxy = yield* startProxy(server.config.endpoint)
          yield* using(settings({ endpoint: proxy.endpoint }), (store) =>
            Effect.gen(function* () {
              yield* store.put("one", body(5 * MiB, 1))
              yield* store.put("two", body(MiB, 2))
              proxy.heard.length = 0
              yield* store.compose(["one", "two"], "both")
              expect(proxy.heard.filter((line) => line.endsWith(" copy"))).toHaveLength(2)
              expect(proxy.heard.filter((line) => line.startsWith("GET "))).toEqual([])
            })
          )
        })
      )
    ))
})

describe("s3 buckets", () => {
  it("shares a bucket with others, by prefix, and lists only keys", () =>
    run(
      Effect.gen(function* () {
        const [one, other] = [settings(), settings()]
        yield* using(one, (store) => store.put("same", text("one")))
        yield* using(other, (store) => store.put("same", text("other")))
        const foreign = { Bucket: server.config.bucket, Key: `${one.prefix}a file (1).txt`, Body: "x" }
        yield* Effect.promise(() => client().send(new PutObjectCommand(foreign)))
        yield* using(one, (store) =>
          Effect.gen(function* () {
            expect(yield* words(store, "same")).toBe("one")
            expect((yield* store.list("")).items.map((item) => item.key)).toEqual(["same"])
          })
        )
      })
    ))

  it("says what to do when the bucket is missing, and makes it only when told to", () =>
    run(
      Effect.gen(function* () {
        const bucket = `absent-${randomUUID()}`
        const missing = settings({ bucket, createBucket: false })
        const error = yield* Effect.flip(using(missing, () => Effect.void))
        expect(error).toMatchObject({ _tag: "PluginError", reason: "Failed" })
        expect(messageOf(error)).toContain(bucket)
        expect(messageOf(error)).toContain("createBucket")
        yield* using(settings({ bucket }), (store) => store.check)
        yield* using(missing, (store) => store.check)
      })
    ))

  it("says that the credentials are wrong, and never what they are", () =>
    run(
      Effect.gen(function* () {
        const secretAccessKey = "a secret that nobody may read"
        const wrong = s3(settings({ secretAccessKey }))
        const error = yield* Effect.flip(Effect.provide(BlobStore, hosted(wrong)))
        expect(messageOf(error)).toContain("secretAccessKey")
        expect((error as { cause?: unknown }).cause).toMatchObject({ reason: "Unauthorized", retryable: false })
        const mistyped = s3({ ...settings({ secretAccessKey }), partSize: 1, bukket: "x" } as Input)
        const refused = yield* Effect.flip(Effect.provide(BlobStore, hosted(mistyped)))
        expect(messageOf(refused)).toMatch(/partSize[^]*bukket|bukket[^]*partSize/)
        const shown = [error, refused].flatMap((each) => [
          String(each),
          JSON.stringify(each),
          inspect(each, { depth: 12 })
        ])
        expect(shown.filter((line) => line.includes(secretAccessKey))).toEqual([])
      })
    ))

  it("says Unavailable when nobody answers", () =>
    run(
      Effect.gen(function* () {
        const error = yield* Effect.flip(using(settings({ endpoint: "http://127.0.0.1:9" }), () => Effect.void))
        expect((error as { cause?: unknown }).cause).toMatchObject({ reason: "Unavailable", retryable: true })
      })
    ))

  it("does not start on a server that ignores If-None-Match", async () => {
    const yes = createServer((request, response) => void request.resume().on("end", () => response.end()))
    await new Promise<void>((resolve) => yes.listen(0, "127.0.0.1", resolve))
    const endpoint = `http://127.0.0.1:${(yes.address() as AddressInfo).port}`
    const error = await run(Effect.flip(using(settings({ endpoint }), () => Effect.void)))
    yes.close()
    yes.closeAllConnections()
    expect(messageOf(error)).toContain("If-None-Match")
  })

  it("says Full when the quota is used up", async (context) => {
    const { admin } = server
    if (admin === undefined) return context.skip("only our own gateway lets us set a quota")
    const keys = { accessKeyId: `small-${randomUUID()}`, secretAccessKey: randomUUID() }
    const user = `--uid=${keys.accessKeyId}`
    await admin(
      "user",
      "create",
      user,
      "--display-name=small",
      `--access-key=${keys.accessKeyId}`,
      `--secret=${keys.secretAccessKey}`
    )
    await admin("quota", "set", "--quota-scope=user", user, "--max-size=1M")
    await admin("quota", "enable", "--quota-scope=user", user)
    await run(
      using(settings({ ...keys, bucket: `small-${randomUUID()}` }), (store) =>
        Effect.gen(function* () {
          for (const size of [2 * MiB, 12 * MiB]) {
            const error = yield* Effect.flip(store.put("too-much", body(size)))
            expect(error).toMatchObject({ reason: "Full", retryable: false })
            expect(yield* store.exists("too-much")).toBe(false)
          }
        })
      )
    )
  })
})
