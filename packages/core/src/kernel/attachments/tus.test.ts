import { request as httpRequest } from "node:http"
import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { createPrincipal, createTenant } from "../../testing/kernel.ts"
import {
  begin,
  blobOf,
  call,
  eventsOf,
  head,
  idOf,
  keysOf,
  metadata,
  MiB,
  patch,
  placeOf,
  rowOf,
  send,
  someone,
  tusVersion
} from "../../test/tusClient.ts"
import { fileOf, sha256, uploadKernel } from "../../test/uploads.ts"
import { PlatformTx, withPlatform } from "../db/Database.ts"
import { anonymous } from "../policy/Principal.ts"
import { originalKey } from "./sql.ts"

const setTenant = (tenantId: string, uploads: Record<string, unknown>) =>
  withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql`
        update mahalla.tenant set settings = settings || ${JSON.stringify({ uploads })}::text::jsonb where tenant_id = ${tenantId}`
    )
  )

layer(uploadKernel(inject("postgresUrl")), { excludeTestServices: true })("uploads", (it) => {
  it.effect("stores_a_whole_file_with_type_hash_and_event", () =>
    Effect.gen(function* () {
      const { endpoint, headers, person, tenantId } = yield* someone
      const file = fileOf("mp4", 20 * MiB + 7)
      const url = yield* send(endpoint, file, {
        headers,
        metadata: { filename: "../a street\u0000.mp4", filetype: "x/y" }
      })
      const row = yield* rowOf(tenantId, url)
      assert.strictEqual(row.state, "stored")
      assert.strictEqual(row.mediaType, "video/mp4")
      assert.strictEqual(row.kind, "video")
      assert.strictEqual(row.name, "a street.mp4")
      assert.strictEqual(row.declaredType, "x/y")
      assert.strictEqual(row.ownerId, person.id)
      assert.strictEqual(row.sha256, sha256(file))
      assert.isTrue(file.equals(yield* blobOf(row.blobKey!)))
      assert.deepStrictEqual(yield* keysOf(tenantId), [originalKey(tenantId, row.id)])
      assert.deepStrictEqual(yield* eventsOf(tenantId), [
        {
          type: "attachment.stored",
          actorId: person.id,
          caseId: null,
          payload: {
            attachmentId: row.id,
            role: "original",
            derivedFrom: null,
            kind: "video",
            mediaType: "video/mp4",
            size: file.length,
            sha256: row.sha256
          }
        }
      ])
      const told = yield* call(url, "GET", headers)
      assert.strictEqual(told.body.state, "stored")
      assert.strictEqual(told.body.receipt, row.receipt)
    })
  )

  it.effect("takes_the_file_with_the_request_that_begins_it", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      const file = fileOf("jpeg", 300_000)
      const url = yield* send(endpoint, file, { headers, uploadDataDuringCreation: true })
      assert.strictEqual((yield* rowOf(tenantId, url)).sha256, sha256(file))
    })
  )

  it.effect("tells_what_it_can_and_how_far_it_is", () =>
    Effect.gen(function* () {
      const { endpoint, headers } = yield* someone
      const options = yield* call(endpoint, "OPTIONS", headers)
      assert.strictEqual(options.status, 204)
      assert.strictEqual(options.headers.get("tus-version"), "1.0.0")
      assert.strictEqual(options.headers.get("tus-max-size"), String(2 * 1024 ** 3))
      assert.strictEqual(options.headers.get("tus-extension"), "creation,creation-with-upload,termination,expiration")
      const said = metadata({ filename: "дорога.mp4" })
      const begun = yield* begin(endpoint, headers, 1000, said)
      assert.strictEqual(begun.status, 201)
      assert.match(begun.headers.get("location")!, /^\/v1\/uploads\/[0-9a-f-]{36}$/)
      assert.isFalse([...begun.headers.keys()].some((name) => name.startsWith("access-control-")))
      const url = placeOf(endpoint, begun)
      yield* patch(url, headers, 0, fileOf("mp4", 400))
      const at = yield* head(url, headers)
      assert.strictEqual(at.status, 200)
      assert.strictEqual(at.headers.get("upload-offset"), "400")
      assert.strictEqual(at.headers.get("upload-length"), "1000")
      assert.strictEqual(at.headers.get("upload-metadata"), said["upload-metadata"])
      assert.strictEqual(at.headers.get("cache-control"), "no-store")
      const hours = (Date.parse(at.headers.get("upload-expires")!) - Date.now()) / 3_600_000
      assert.isTrue(hours > 23.9 && hours < 24.1)
    })
  )

  it.effect("lets_old_networks_say_PATCH_by_POST", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      const file = fileOf("pdf", 5000)
      const url = yield* send(endpoint, file, { headers, overridePatchMethod: true })
      assert.strictEqual((yield* rowOf(tenantId, url)).state, "stored")
    })
  )

  it.effect("refuses_another_version_of_the_protocol", () =>
    Effect.gen(function* () {
      const { endpoint, headers } = yield* someone
      for (const version of [{}, { "tus-resumable": "0.2.2" }]) {
        const answer = yield* call(endpoint, "POST", { ...headers, ...version, "upload-length": "5" })
        assert.strictEqual(answer.status, 412)
        assert.strictEqual(answer.headers.get("tus-version"), "1.0.0")
        assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
      }
    })
  )

  it.effect("refuses_a_claim_of_ten_gigabytes_before_a_byte_is_taken", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      const answer = yield* begin(endpoint, headers, 10 * 1024 ** 3)
      assert.strictEqual(answer.status, 413)
      assert.strictEqual(answer.headers.get("tus-resumable"), "1.0.0")
      assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
      assert.strictEqual(answer.body.type, "urn:mahalla:problem:too-large")
      assert.deepStrictEqual(yield* eventsOf(tenantId), [])
      // And the same while the sender is already pouring it out.
      const status = yield* Effect.promise(
        () =>
          new Promise<number>((resolve, reject) => {
            const request = httpRequest(endpoint, {
              method: "POST",
              headers: {
                ...tusVersion,
                ...headers,
                "upload-length": String(10 * 1024 ** 3),
                "content-type": "application/offset+octet-stream",
                "content-length": String(10 * 1024 ** 3)
              }
            })
            request.on("response", (response) => {
              resolve(response.statusCode!)
              request.destroy()
            })
            request.on("error", reject)
            const chunk = Buffer.alloc(MiB)
            const pour = () => {
              while (!request.destroyed && request.write(chunk));
              if (!request.destroyed) request.once("drain", pour)
            }
            pour()
          })
      )
      assert.strictEqual(status, 413)
      assert.deepStrictEqual(yield* keysOf(tenantId), [])
    })
  )

  it.effect("refuses_an_empty_file_and_a_length_that_is_none", () =>
    Effect.gen(function* () {
      const { endpoint, headers } = yield* someone
      const empty = yield* begin(endpoint, headers, 0)
      assert.strictEqual(empty.status, 400)
      assert.strictEqual(empty.body.type, "urn:mahalla:problem:empty-file")
      for (const size of ["-1", "x", "1.5", "1e3"])
        assert.strictEqual((yield* begin(endpoint, headers, size)).status, 400)
      assert.strictEqual((yield* call(endpoint, "POST", { ...tusVersion, ...headers })).status, 400)
    })
  )

  it.effect("refuses_more_bytes_than_were_declared", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      const url = placeOf(endpoint, yield* begin(endpoint, headers, 1000))
      const answer = yield* patch(url, headers, 0, fileOf("mp4", 1001))
      assert.strictEqual(answer.status, 413)
      assert.strictEqual((yield* rowOf(tenantId, url)).state, "uploading")
    })
  )

  it.effect("stores_a_mislabelled_file_under_what_it_is", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      const url = yield* send(endpoint, fileOf("jpeg", 5000), {
        headers,
        metadata: { filename: "film.mp4", filetype: "video/mp4" }
      })
      const row = yield* rowOf(tenantId, url)
      assert.deepStrictEqual([row.mediaType, row.kind, row.declaredType], ["image/jpeg", "image", "video/mp4"])
    })
  )

  it.effect("refuses_what_is_not_accepted_whatever_it_is_called", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      for (const type of ["zip", "text"] as const) {
        const url = placeOf(endpoint, yield* begin(endpoint, headers, 5000, metadata({ filetype: "video/mp4" })))
        const answer = yield* patch(url, headers, 0, fileOf(type, 5000))
        assert.strictEqual(answer.status, 415)
        assert.strictEqual(answer.body.type, "urn:mahalla:problem:media-type")
        const row = yield* rowOf(tenantId, url)
        assert.deepStrictEqual([row.state, row.reason], ["rejected", "media-type"])
        assert.strictEqual((yield* head(url, headers)).status, 415)
      }
      assert.deepStrictEqual(yield* keysOf(tenantId), [])
      const events = yield* eventsOf(tenantId)
      assert.deepStrictEqual(
        events.map((event) => [event.type, event.payload["detail"]]),
        [
          ["attachment.rejected", "application/zip"],
          ["attachment.rejected", "unknown"]
        ]
      )
    })
  )

  it.effect("refuses_a_large_wrong_file_after_its_first_segment", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      const url = placeOf(endpoint, yield* begin(endpoint, headers, 60 * MiB))
      const answer = yield* patch(url, headers, 0, fileOf("zip", 60 * MiB))
      assert.strictEqual(answer.status, 415)
      assert.strictEqual((yield* rowOf(tenantId, url)).received, 0)
      assert.deepStrictEqual(yield* keysOf(tenantId), [])
    })
  )

  it.effect("notes_what_a_polyglot_could_also_be", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      const end = Buffer.alloc(22)
      end.write("PK\u0005\u0006", "latin1")
      const url = yield* send(endpoint, Buffer.concat([fileOf("jpeg", 9000), end]), { headers })
      const row = yield* rowOf(tenantId, url)
      assert.strictEqual(row.mediaType, "image/jpeg")
      assert.deepStrictEqual(row.metadata["couldAlsoBe"], ["application/zip"])
    })
  )

  it.effect("obeys_the_tenants_own_limits", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      yield* setTenant(tenantId, {
        maxSize: 10_000,
        mediaTypes: ["application/zip"],
        openUploads: 2,
        bytesPerDay: 12_000
      })
      assert.strictEqual((yield* begin(endpoint, headers, 10_001)).status, 413)
      yield* send(endpoint, fileOf("zip", 6000), { headers })
      const one = yield* begin(endpoint, headers, 3000)
      const [tooMany] = (yield* Effect.all([begin(endpoint, headers, 10), begin(endpoint, headers, 10)], {
        concurrency: 2
      })).filter((answer) => answer.status !== 201)
      assert.strictEqual(tooMany!.status, 429)
      assert.isNotNull(tooMany!.headers.get("retry-after"))
      assert.strictEqual((yield* call(placeOf(endpoint, one), "DELETE", { ...tusVersion, ...headers })).status, 204)
      assert.strictEqual((yield* begin(endpoint, headers, 6000)).status, 429)
      assert.strictEqual((yield* begin(endpoint, headers, 5000)).status, 201)
    })
  )

  it.effect("keeps_uploads_of_others_out_of_sight", () =>
    Effect.gen(function* () {
      const { endpoint, headers, server, tenantId } = yield* someone
      const url = placeOf(endpoint, yield* begin(endpoint, headers, 1000))
      const neighbour = server.as(yield* createPrincipal(tenantId))
      const stranger = server.as(yield* createPrincipal((yield* createTenant()).tenantId))
      const visitor = server.as(anonymous(tenantId))
      for (const other of [neighbour, stranger, visitor]) {
        assert.strictEqual((yield* head(url, other)).status, 404)
        assert.strictEqual((yield* patch(url, other, 0, fileOf("mp4", 1000))).status, 404)
        assert.strictEqual((yield* call(url, "GET", other)).status, 404)
        assert.strictEqual((yield* call(url, "DELETE", { ...tusVersion, ...other })).status, 404)
      }
      assert.strictEqual((yield* rowOf(tenantId, url)).received, 0)
      for (const wrong of ["x", `${idOf(url)}.`, "019400aa-0000-7000-8000-000000000000", "%00"])
        assert.strictEqual((yield* head(`${endpoint}/${wrong}`, headers)).status, 404)
    })
  )

  it.effect("gives_an_anonymous_sender_a_secret_address", () =>
    Effect.gen(function* () {
      const { endpoint, server, tenantId } = yield* someone
      const visitor = server.as(anonymous(tenantId))
      const file = fileOf("jpeg", 4000)
      const url = placeOf(endpoint, yield* begin(endpoint, visitor, 4000))
      assert.match(url, /\/[0-9a-f-]{36}\.[\w-]{32}$/)
      const id = idOf(url)
      for (const guess of [id, `${id}.`, `${id}.${"A".repeat(32)}`])
        assert.strictEqual((yield* patch(`${endpoint}/${guess}`, visitor, 0, file)).status, 404)
      assert.strictEqual((yield* patch(url, visitor, 0, file)).status, 204)
      const row = yield* rowOf(tenantId, url)
      assert.deepStrictEqual([row.state, row.ownerId], ["stored", null])
      assert.notInclude(JSON.stringify(row), url.split(".").at(-1)!)
    })
  )

  it.effect("asks_for_the_permission", () =>
    Effect.gen(function* () {
      const { endpoint, server, tenantId } = yield* someone
      const device = server.as(yield* createPrincipal(tenantId, { kind: "device" }))
      const answer = yield* begin(endpoint, device, 10)
      assert.strictEqual(answer.status, 403)
      assert.strictEqual(answer.headers.get("tus-resumable"), "1.0.0")
    })
  )

  it.effect("forgets_an_upload_that_its_sender_ends_but_not_a_stored_file", () =>
    Effect.gen(function* () {
      const { endpoint, headers, tenantId } = yield* someone
      const end = (url: string) => call(url, "DELETE", { ...tusVersion, ...headers })
      const url = placeOf(endpoint, yield* begin(endpoint, headers, 1000))
      yield* patch(url, headers, 0, fileOf("mp4", 10))
      assert.strictEqual((yield* end(url)).status, 204)
      assert.strictEqual((yield* head(url, headers)).status, 410)
      const stored = yield* send(endpoint, fileOf("mp4", 1000), { headers })
      assert.strictEqual((yield* end(stored)).status, 409)
      assert.strictEqual((yield* rowOf(tenantId, stored)).state, "stored")
    })
  )
})
