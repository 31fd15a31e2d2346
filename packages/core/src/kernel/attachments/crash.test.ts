import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { Crash, crashing } from "../../test/crashingStore.ts"
import { begin, blobOf, eventsOf, head, idOf, keysOf, patch, placeOf, rowOf, someone } from "../../test/tusClient.ts"
import { fileOf, sha256, temporaryFiles, uploadKernel } from "../../test/uploads.ts"
import { PlatformTx, withPlatform } from "../db/Database.ts"
import { Actor } from "../policy/Principal.ts"
import { completeUpload } from "./complete.ts"
import { UploadHashes } from "./hashes.ts"
import { receive } from "./receive.ts"
import { originalKey } from "./sql.ts"
import { sweepUploads } from "./sweep.ts"

const blobs = crashing(temporaryFiles)

const setClaims = (seconds: number) =>
  withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql`
        update mahalla.attachment set completing_until = now() + make_interval(secs => ${seconds}) where state = 'uploading'`
    )
  )

const pieces =
  (...given: Array<Buffer>) =>
  () => {
    const value = given.shift()
    return Promise.resolve(value === undefined ? {} : { value })
  }

/** One complete upload of three segments that nobody has begun to put together. */
const complete = Effect.gen(function* () {
  const { endpoint, headers, person, tenantId } = yield* someone
  const file = fileOf("mp4", 30_000)
  const url = placeOf(endpoint, yield* begin(endpoint, headers, file.length))
  const id = idOf(url)
  for (const received of [0, 10_000, 20_000])
    yield* receive(
      { id, received, size: file.length },
      pieces(file.subarray(received, received + 10_000)),
      () => Effect.void
    ).pipe(
      Effect.provideService(Actor, person),
      // Another replica's: whoever completes it knows no hash.
      Effect.provideService(UploadHashes, new Map())
    )
  return { file, url, headers, tenantId, id }
})

const storedOnce = Effect.fnUntraced(function* (given: { tenantId: string; url: string; file: Buffer }) {
  const row = yield* rowOf(given.tenantId, given.url)
  assert.deepStrictEqual([row.state, row.sha256], ["stored", sha256(given.file)])
  assert.isTrue(given.file.equals(yield* blobOf(row.blobKey!)))
  assert.isNotNull(row.receipt)
  assert.deepStrictEqual(
    (yield* eventsOf(given.tenantId)).map((event) => event.type),
    ["attachment.stored"]
  )
})

layer(uploadKernel(inject("postgresUrl"), Layer.orDie(blobs)).pipe(Layer.provideMerge(blobs)), {
  excludeTestServices: true
})("uploads over crashes", (it) => {
  // get × 3 for the type and × 3 for the hash, compose, get, list, delete × 3, list: more than there are.
  const steps = Array.from({ length: 15 }, (_, step) => step)

  for (const how of ["killed", "interrupted"] as const) {
    it.effect(
      `completes_an_upload_whose_completion_was_${how}_at_any_step`,
      () =>
        Effect.gen(function* () {
          const crash = yield* Crash
          let died = 0
          for (const step of steps)
            for (const moment of ["before", "after"] as const) {
              const given = yield* complete
              const dead = yield* crash.after(step, moment)
              const fiber = yield* Effect.forkDetach(completeUpload(given.tenantId, given.id))
              const ended = yield* Effect.raceFirst(
                Effect.as(Deferred.await(dead), false),
                Effect.as(Effect.exit(Fiber.join(fiber)), true)
              )
              if (!ended) died++
              yield* crash.over
              yield* Fiber.interrupt(fiber)
              if (how === "killed") {
                // Nobody has given the claim back.
                yield* setClaims(20)
                if ((yield* rowOf(given.tenantId, given.url)).state === "uploading")
                  assert.strictEqual((yield* head(given.url, given.headers)).status, 423)
                yield* setClaims(-1)
              }
              const answer = yield* head(given.url, given.headers)
              assert.strictEqual(answer.status, 200)
              assert.strictEqual(answer.headers.get("upload-offset"), "30000")
              yield* storedOnce(given)
              yield* sweepUploads
              assert.deepStrictEqual(yield* keysOf(given.tenantId), [originalKey(given.tenantId, given.id)])
            }
          assert.isAtLeast(died, 24)
        }).pipe(Effect.scoped),
      300_000
    )
  }

  it.effect("sweeps_up_a_complete_upload_that_nobody_asks_about", () =>
    Effect.gen(function* () {
      const given = yield* complete
      const swept = yield* sweepUploads
      assert.strictEqual(swept.completed, 1)
      yield* storedOnce(given)
    })
  )

  it.effect("ignores_a_segment_that_was_put_but_never_acknowledged", () =>
    Effect.gen(function* () {
      const crash = yield* Crash
      const { endpoint, headers, tenantId } = yield* someone
      const file = fileOf("mp4", 20_000)
      const url = placeOf(endpoint, yield* begin(endpoint, headers, file.length))
      const dead = yield* crash.after(0, "after")
      yield* Effect.forkDetach(patch(url, headers, 0, Buffer.alloc(7000, "x")))
      yield* Deferred.await(dead)
      yield* crash.over
      assert.strictEqual((yield* keysOf(tenantId)).length, 1)
      assert.strictEqual((yield* head(url, headers)).headers.get("upload-offset"), "0")
      assert.strictEqual((yield* patch(url, headers, 0, file)).status, 204)
      yield* storedOnce({ tenantId, url, file })
      assert.deepStrictEqual(yield* keysOf(tenantId), [originalKey(tenantId, idOf(url))])
    })
  )

  it.effect("answers_423_while_somebody_else_puts_it_together", () =>
    Effect.gen(function* () {
      const crash = yield* Crash
      const given = yield* complete
      const dead = yield* crash.after(2, "before")
      const fiber = yield* Effect.forkDetach(completeUpload(given.tenantId, given.id))
      yield* Deferred.await(dead)
      yield* crash.over
      const answer = yield* head(given.url, given.headers)
      assert.strictEqual(answer.status, 423)
      assert.strictEqual(answer.headers.get("retry-after"), "1")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* head(given.url, given.headers)).status, 200)
      yield* storedOnce(given)
    })
  )
})
