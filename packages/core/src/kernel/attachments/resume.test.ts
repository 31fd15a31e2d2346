import { request as httpRequest } from "node:http"
import { Readable } from "node:stream"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as fc from "fast-check"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import {
  begin,
  blobOf,
  head,
  idOf,
  keysOf,
  MiB,
  patch,
  placeOf,
  rowOf,
  send,
  someone,
  tusVersion
} from "../../test/tusClient.ts"
import { type Break, brittleLine, fileOf, sha256, uploadKernel } from "../../test/uploads.ts"
import type { BlobStore } from "../../ports/BlobStore.ts"
import type { Limiter } from "../../ports/Limiter.ts"
import type { Database } from "../db/Database.ts"
import type { Keys } from "../keys/Keys.ts"
import type { Policy } from "../policy/Policy.ts"
import { Actor } from "../policy/Principal.ts"
import { segmentSize } from "./buffers.ts"
import { originalKey } from "./sql.ts"
import { TusStore } from "./tusStore.ts"

/** A PATCH that the test feeds by hand. */
const openPatch = (url: string, headers: Record<string, string>, offset: number, length?: number) => {
  const request = httpRequest(url, {
    method: "PATCH",
    headers: {
      ...tusVersion,
      ...headers,
      "upload-offset": String(offset),
      "content-type": "application/offset+octet-stream",
      ...(length === undefined ? {} : { "content-length": String(length) })
    }
  })
  const status = new Promise<number | undefined>((resolve) => {
    request.on("response", (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    request.on("error", () => resolve(undefined))
  })
  return { request, status: Effect.promise(() => status) }
}

const offsetOf = (url: string, headers: Record<string, string>) =>
  Effect.map(head(url, headers), (answer) => Number(answer.headers.get("upload-offset")))

const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(
    Effect.tap(condition, (met) => (met ? Effect.void : Effect.sleep(20))),
    { until: (met) => met }
  )

layer(uploadKernel(inject("postgresUrl")), { excludeTestServices: true })("resuming uploads", (it) => {
  const size = 2 * segmentSize + 100_000
  const moment = fc.oneof(
    // Anywhere, in the headers of a request, and around the ends of segments and of the file.
    fc.integer({ min: 1, max: size + 1500 }).map((after): Break => ({ after })),
    fc.integer({ min: 1, max: 700 }).map((after): Break => ({ after })),
    fc
      .record({ edge: fc.constantFrom(segmentSize, 2 * segmentSize, size), near: fc.integer({ min: -5, max: 800 }) })
      .map(({ edge, near }): Break => ({ after: edge + near })),
    fc.constant<Break>("before-answer")
  )

  it.effect(
    "resumes_after_a_dropped_connection_at_any_moment",
    () =>
      Effect.gen(function* () {
        const context = yield* Effect.context<Effect.Services<typeof someone>>()
        const run = Effect.gen(function* () {
          const { headers, server, tenantId } = yield* someone
          const file = fileOf("mp4", size)
          return {
            oneUpload: Effect.fnUntraced(function* (breaks: Array<Break>) {
              const line = yield* brittleLine(server.port, [...breaks])
              const url = yield* send(line, file, { headers })
              const row = yield* rowOf(tenantId, url)
              assert.deepStrictEqual([row.state, row.sha256], ["stored", sha256(file)])
              assert.isTrue(file.equals(yield* blobOf(row.blobKey!)))
              assert.isFalse((yield* keysOf(tenantId)).some((key) => key.includes(`/uploads/${row.id}/`)))
            }, Effect.scoped)
          }
        })
        const { oneUpload } = yield* run
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(fc.array(moment, { minLength: 1, maxLength: 4 }), (breaks) =>
              Effect.runPromiseWith(context)(oneUpload(breaks))
            ),
            { numRuns: 12, endOnFailure: true }
          )
        )
      }),
    300_000
  )

  it.effect("keeps_what_had_arrived_when_the_connection_dropped", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      const file = fileOf("mp4", 3 * MiB)
      const url = placeOf(endpoint, yield* begin(endpoint, headers, file.length))
      const { request } = openPatch(url, headers, 0, file.length)
      request.write(file.subarray(0, 2 * MiB))
      yield* Effect.sleep(300)
      request.destroy()
      yield* until(Effect.map(rowOf(tenantId, url), (row) => row.received > 0))
      const { received } = yield* rowOf(tenantId, url)
      // What was still in Node's own pipes is lost with the connection.
      assert.isAtLeast(received, 2 * MiB - 256 * 1024)
      assert.strictEqual(yield* offsetOf(url, headers), received)
      assert.strictEqual((yield* patch(url, headers, received, file.subarray(received))).status, 204)
      assert.strictEqual((yield* rowOf(tenantId, url)).sha256, sha256(file))
    })
  )

  it.effect("makes_a_slow_senders_bytes_safe_while_it_goes_on", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      const file = fileOf("mp4", 50_000)
      const url = placeOf(endpoint, yield* begin(endpoint, headers, file.length))
      const { request, status } = openPatch(url, headers, 0, file.length)
      request.write(file.subarray(0, 1000))
      yield* until(Effect.map(rowOf(tenantId, url), (row) => row.received === 1000))
      request.write(file.subarray(1000, 30_000))
      yield* Effect.sleep(300)
      request.end(file.subarray(30_000))
      assert.strictEqual(yield* status, 204)
      assert.strictEqual((yield* rowOf(tenantId, url)).sha256, sha256(file))
    })
  )

  it.effect("takes_bodies_of_unknown_length_up_to_what_was_declared", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      const file = fileOf("mp4", 50_000)
      const url = placeOf(endpoint, yield* begin(endpoint, headers, file.length))
      const short = openPatch(url, headers, 0)
      short.request.write(file.subarray(0, 10_000))
      short.request.end(file.subarray(10_000, 20_000))
      assert.strictEqual(yield* short.status, 204)
      assert.strictEqual((yield* rowOf(tenantId, url)).received, 20_000)
      const long = openPatch(url, headers, 20_000)
      long.request.write(file.subarray(20_000))
      long.request.end("and more")
      assert.strictEqual(yield* long.status, 413)
      assert.strictEqual(yield* offsetOf(url, headers), 50_000)
      assert.strictEqual((yield* rowOf(tenantId, url)).sha256, sha256(file))
    })
  )

  it.effect("takes_no_bytes_for_an_offset_that_moved_on_since_it_was_compared", () =>
    Effect.gen(function* () {
      const { endpoint, headers, person, tenantId } = yield* someone
      const url = placeOf(endpoint, yield* begin(endpoint, headers, 5000))
      yield* patch(url, headers, 0, fileOf("mp4", 1000))
      const context = yield* Effect.context<BlobStore | Database | Keys | Limiter | Policy>()
      const store = new TusStore(
        (effect) => Effect.runPromiseWith(Context.add(context, Actor, person))(effect),
        new Blob([new Uint8Array(fileOf("mp4", 4000))]).stream().getReader()
      )
      const refused = yield* Effect.flip(
        Effect.tryPromise({ try: () => store.write(Readable.from([]), idOf(url), 900), catch: (error) => error })
      )
      assert.include(String(refused), "Other bytes have arrived")
      assert.strictEqual((yield* rowOf(tenantId, url)).received, 1000)
    })
  )

  it.effect("answers_409_to_a_wrong_offset_and_changes_nothing", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      const file = fileOf("mp4", 2000)
      const url = placeOf(endpoint, yield* begin(endpoint, headers, file.length))
      yield* patch(url, headers, 0, file.subarray(0, 1000))
      for (const offset of [0, 999, 1001, 2000]) {
        const answer = yield* patch(url, headers, offset, Buffer.alloc(0))
        assert.strictEqual(answer.status, 409)
        assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
      }
      assert.strictEqual((yield* rowOf(tenantId, url)).received, 1000)
      assert.strictEqual((yield* patch(url, headers, 1000, file.subarray(1000))).status, 204)
      assert.strictEqual((yield* rowOf(tenantId, url)).sha256, sha256(file))
    })
  )

  it.effect("lets_one_of_two_connections_win_and_mixes_no_bytes", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      const file = fileOf("mp4", 4000)
      const url = placeOf(endpoint, yield* begin(endpoint, headers, file.length))
      // Both stand at byte 0; the first one brings other bytes and drops after the second has won.
      const slow = openPatch(url, headers, 0, file.length)
      slow.request.write(Buffer.alloc(1500, "x"))
      yield* Effect.sleep(200)
      assert.strictEqual((yield* patch(url, headers, 0, file.subarray(0, 3000))).status, 204)
      slow.request.end(Buffer.alloc(2500, "x"))
      assert.strictEqual(yield* slow.status, 409)
      assert.strictEqual(yield* offsetOf(url, headers), 3000)
      assert.strictEqual((yield* patch(url, headers, 3000, file.subarray(3000))).status, 204)
      assert.strictEqual((yield* rowOf(tenantId, url)).sha256, sha256(file))
      assert.deepStrictEqual(yield* keysOf(tenantId), [originalKey(tenantId, idOf(url))])
    })
  )

  it.effect("stores_once_when_many_connections_bring_the_same_bytes", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      const file = fileOf("mp4", 200_000)
      const url = placeOf(endpoint, yield* begin(endpoint, headers, file.length))
      const racers = yield* Effect.forkChild(
        Effect.all(
          Array.from({ length: 8 }, () => patch(url, headers, 0, file)),
          { concurrency: "unbounded" }
        )
      )
      const statuses = (yield* Fiber.join(racers)).map((answer) => answer.status)
      assert.isTrue(statuses.includes(204))
      assert.isTrue(
        statuses.every((status) => [204, 409, 423].includes(status)),
        statuses.join()
      )
      yield* until(Effect.map(rowOf(tenantId, url), (row) => row.state === "stored"))
      assert.strictEqual((yield* rowOf(tenantId, url)).sha256, sha256(file))
      assert.deepStrictEqual(yield* keysOf(tenantId), [originalKey(tenantId, idOf(url))])
    })
  )
})
