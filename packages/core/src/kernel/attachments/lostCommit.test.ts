import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { inject } from "vitest"
import { lossyLine } from "../../testing/lossyLine.ts"
import { blobOf, idOf, keysOf, send, someone } from "../../test/tusClient.ts"
import { fileOf, sha256, uploadKernel } from "../../test/uploads.ts"
import { BlobStore } from "../../ports/BlobStore.ts"
import { newId } from "../ids.ts"
import { Actor } from "../policy/Principal.ts"
import { Attachments } from "./Attachments.ts"
import { derivedKey } from "./sql.ts"
import { sweepUploads } from "./sweep.ts"

it.live("keeps_the_bytes_of_a_copy_whose_commit_was_not_answered", () =>
  Effect.gen(function* () {
    const line = yield* lossyLine(inject("postgresUrl"))
    yield* Effect.gen(function* () {
      const { endpoint, headers, person, tenantId } = yield* someone
      const from = idOf(yield* send(endpoint, fileOf("mp4", 10_000), { headers }))
      const attachments = yield* Attachments
      const poster = fileOf("jpeg", 3_000)
      const add = (original: string, lose: boolean) =>
        attachments
          .addDerived({
            from: original,
            kind: "poster",
            name: "poster",
            mediaType: "image/jpeg",
            stream: Stream.suspend(() => {
              if (lose) line.loseNextCommit()
              return Stream.make(poster)
            })
          })
          .pipe(Effect.provideService(Actor, person))
      const error = yield* Effect.flip(add(from, true))
      assert.strictEqual(error._tag, "SqlError")
      assert.strictEqual(line.lost(), 1)
      const [copy] = yield* Effect.retry(attachments.derivedFrom(from), { times: 5 }).pipe(
        Effect.provideService(Actor, person)
      )
      assert.strictEqual(copy?.sha256, sha256(poster))
      assert.isTrue(poster.equals(yield* blobOf(derivedKey(tenantId, copy!.id))))
      // What surely has no row leaves no bytes either.
      const before = yield* keysOf(tenantId)
      assert.strictEqual((yield* Effect.flip(add(yield* newId, false)))._tag, "NotFound")
      assert.deepStrictEqual(yield* keysOf(tenantId), before)
    }).pipe(Effect.provide(uploadKernel(line.url)))
  }).pipe(Effect.scoped)
)

it.live("sweeps_up_copies_that_no_row_names_a_day_later", () =>
  Effect.gen(function* () {
    const { endpoint, headers, person, tenantId } = yield* someone
    const from = idOf(yield* send(endpoint, fileOf("mp4", 10_000), { headers }))
    const { addDerived } = yield* Attachments
    const stream = Stream.make(fileOf("jpeg", 2_000))
    const copy = yield* addDerived({ from, kind: "poster", name: "poster", mediaType: "image/jpeg", stream }).pipe(
      Effect.provideService(Actor, person)
    )
    const blobs = yield* BlobStore
    // Made now and a day and a half ago; named by no row.
    const [fresh, stray] = [0, 36].map((hours) => {
      const time = (Date.now() - hours * 3_600_000).toString(16).padStart(12, "0")
      return derivedKey(tenantId, `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000000`)
    })
    for (const key of [fresh!, stray!]) yield* blobs.put(key, stream)
    yield* sweepUploads
    const left = yield* keysOf(tenantId)
    assert.isFalse(left.includes(stray!))
    assert.isTrue(left.includes(fresh!))
    assert.isTrue(left.includes(derivedKey(tenantId, copy.id)))
  }).pipe(Effect.provide(uploadKernel(inject("postgresUrl"))), Effect.scoped)
)
