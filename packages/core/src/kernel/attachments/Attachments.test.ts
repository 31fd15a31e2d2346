import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { BlobStore } from "../../ports/BlobStore.ts"
import { createPrincipal, createTenant } from "../../testing/kernel.ts"
import {
  begin,
  blobOf,
  eventsOf,
  head,
  idOf,
  keysOf,
  metadata,
  patch,
  placeOf,
  rowOf,
  send,
  someone
} from "../../test/tusClient.ts"
import { fileOf, sha256, uploadKernel } from "../../test/uploads.ts"
import { PlatformTx, withPlatform, withTenant } from "../db/Database.ts"
import { newId } from "../ids.ts"
import { Issuer, Keys } from "../keys/Keys.ts"
import { Actor, anonymous, type Principal } from "../policy/Principal.ts"
import { Attachments, attachToCase } from "./Attachments.ts"
import { AttachmentScanner } from "./model.ts"
import { verifyReceipt } from "./receipt.ts"
import { originalKey } from "./sql.ts"
import { sweepUploads } from "./sweep.ts"

const as = (actor: Principal) => Effect.provideService(Actor, actor)

/** A case as somebody's report leaves it. */
const createCase = Effect.fnUntraced(function* (tenantId: string, ownerId: string | null) {
  const id = yield* newId
  yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      yield* sql`insert into mahalla.case_type (id, version, definition) values ('test', 1, '{}') on conflict do nothing`
      yield* sql`
        insert into mahalla.civic_case
          (tenant_id, id, type, type_version, reference, state, phase, data, owner_id, created_at, updated_at)
        values (${tenantId}, ${id}, 'test', 1, ${id}, 'new', 'open', '{}', ${ownerId}, now(), now())`
    })
  )
  return id
})

const attach = (actor: Principal, ids: ReadonlyArray<string>, caseId: string) =>
  withTenant(actor.tenantId)(attachToCase(ids, caseId)).pipe(as(actor))

const daysPass = (tenantId: string) =>
  withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql`
        update mahalla.attachment set expires_at = now() - interval '1 second'
        where tenant_id = ${tenantId} and expires_at is not null`
    )
  )

const text = (stream: Stream.Stream<Uint8Array, unknown>) =>
  Effect.map(Stream.runCollect(stream), (chunks) => Buffer.concat(chunks))

layer(uploadKernel(inject("postgresUrl")), { excludeTestServices: true })("attachments", (it) => {
  it.effect("gives_a_receipt_that_anybody_verifies_and_nobody_changes", () =>
    Effect.gen(function* () {
      const { endpoint, headers, person, tenantId } = yield* someone.pipe(
        Effect.provideService(Issuer, "https://city.example")
      )
      const file = fileOf("mp4", 5000)
      const url = yield* send(endpoint, file, { headers })
      const row = yield* rowOf(tenantId, url)
      const jwks = yield* (yield* Keys).jwks
      const issued = { by: "https://city.example", jwks }
      const receipt = yield* verifyReceipt(row.receipt!, issued)
      const [event] = yield* withPlatform(
        Effect.flatMap(
          PlatformTx,
          ({ sql }) => sql<{ id: string }>`select id from mahalla.event where tenant_id = ${tenantId}`
        )
      )
      assert.deepStrictEqual(
        { ...receipt, iat: 0 },
        {
          iss: "https://city.example",
          sub: person.id!,
          tenant: tenantId,
          attachment: row.id,
          sha256: sha256(file),
          size: 5000,
          mediaType: "video/mp4",
          receivedAt: row.storedAt!.toISOString(),
          event: event!.id,
          iat: 0
        }
      )
      const [header, payload, signature] = row.receipt!.split(".") as [string, string, string]
      const other = Buffer.from(payload, "base64url").toString().replace('"size":5000', '"size":5001')
      const forged = [header, Buffer.from(other).toString("base64url"), signature].join(".")
      assert.strictEqual((yield* Effect.flip(verifyReceipt(forged, issued))).reason, "Signature")
      assert.strictEqual(
        (yield* Effect.flip(verifyReceipt(row.receipt!, { ...issued, by: "https://other.example" }))).reason,
        "Claims"
      )
      const keys = yield* Keys
      const token = yield* keys.sign("access-token", { ...receipt }, { typ: "at+jwt" })
      yield* Effect.flip(verifyReceipt(token, issued))
    })
  )

  it.effect("attaches_only_ones_own_stored_and_free_originals", () =>
    Effect.gen(function* () {
      const { endpoint, headers, person, server, tenantId } = yield* someone
      const neighbour = yield* createPrincipal(tenantId)
      const caseId = yield* createCase(tenantId, person.id)
      const mine = idOf(yield* send(endpoint, fileOf("mp4", 1000), { headers }))
      const taken = idOf(yield* send(endpoint, fileOf("mp4", 1000), { headers }))
      yield* attach(person, [taken], yield* createCase(tenantId, person.id))
      const open = idOf(placeOf(endpoint, yield* begin(endpoint, headers, 1000)))
      const theirs = idOf(yield* send(endpoint, fileOf("mp4", 1000), { headers: server.as(neighbour) }))
      const secret = yield* send(endpoint, fileOf("mp4", 1000), { headers: server.as(anonymous(tenantId)) })
      const given = [mine, taken, open, theirs, idOf(secret), yield* newId, "x", mine]
      const refused = yield* Effect.flip(attach(person, given, caseId))
      assert.deepStrictEqual(
        refused._tag === "InvalidInput" ? refused.issues.map((issue) => issue.pointer) : refused,
        [1, 2, 3, 4, 5, 6, 7].map((index) => `/attachments/${index}`)
      )
      const attachments = yield* Attachments
      assert.deepStrictEqual(yield* attachments.forCase(caseId).pipe(as(person)), [])
      yield* attach(person, [mine, secret.split("/").at(-1)!], caseId)
      const found = yield* attachments.forCase(caseId).pipe(as(person))
      assert.deepStrictEqual(
        found.map((one) => one.id),
        [mine, idOf(secret)]
      )
      const stranger = yield* createPrincipal((yield* createTenant()).tenantId)
      assert.deepStrictEqual(yield* attachments.forCase(caseId).pipe(as(stranger)), [])
      assert.strictEqual((yield* Effect.flip(attachments.get(mine).pipe(as(stranger))))._tag, "NotFound")
    })
  )

  it.effect("sends_evidence_straight_to_ones_own_case", () =>
    Effect.gen(function* () {
      const { endpoint, headers, person, server, tenantId } = yield* someone
      const caseId = yield* createCase(tenantId, person.id)
      const url = yield* send(endpoint, fileOf("jpeg", 1000), { headers, metadata: { case: caseId } })
      assert.strictEqual((yield* rowOf(tenantId, url)).caseId, caseId)
      assert.strictEqual((yield* eventsOf(tenantId))[0]!.caseId, caseId)
      const neighbour = server.as(yield* createPrincipal(tenantId))
      for (const [who, which] of [
        [neighbour, caseId],
        [headers, yield* newId],
        [headers, "x"]
      ] as const)
        assert.strictEqual((yield* begin(endpoint, who, 1000, metadata({ case: which }))).status, 400)
    })
  )

  it.effect("opens_a_file_whole_and_in_ranges", () =>
    Effect.gen(function* () {
      const { endpoint, headers, person } = yield* someone
      const file = fileOf("mp4", 10_000)
      const id = idOf(yield* send(endpoint, file, { headers, metadata: { filename: "кўча (1).mp4" } }))
      const { open } = yield* Attachments
      const whole = yield* open(id).pipe(as(person))
      assert.strictEqual(whole.status, 200)
      assert.isTrue(file.equals(yield* text(whole.stream)))
      assert.strictEqual(whole.headers["etag"], `"${sha256(file)}"`)
      assert.strictEqual(
        whole.headers["content-disposition"],
        `inline; filename*=UTF-8''%D0%BA%D1%9E%D1%87%D0%B0%20%281%29.mp4`
      )
      for (const [header, start, end] of [
        ["bytes=0-0", 0, 0],
        ["bytes=100-299", 100, 299],
        ["bytes=9000-", 9000, 9999],
        ["bytes=9990-20000", 9990, 9999],
        ["bytes=-10", 9990, 9999],
        ["bytes=-20000", 0, 9999]
      ] as const) {
        const part = yield* open(id, header).pipe(as(person))
        assert.strictEqual(part.status, 206)
        assert.strictEqual(part.headers["content-range"], `bytes ${start}-${end}/10000`)
        assert.strictEqual(part.headers["content-length"], String(end - start + 1))
        assert.isTrue(file.subarray(start, end + 1).equals(yield* text(part.stream)), header)
      }
      for (const header of ["bytes=10000-", "bytes=-0"])
        assert.strictEqual((yield* Effect.flip(open(id, header).pipe(as(person))))._tag, "RangeNotSatisfiable")
      for (const header of ["bytes=0-1,5-6", "bytes=5-1", "lines=1-2", "bytes=-"])
        assert.strictEqual((yield* open(id, header).pipe(as(person))).status, 200)
    })
  )

  it.effect("adds_copies_once_however_often_the_job_runs", () =>
    Effect.gen(function* () {
      const { endpoint, headers, person, tenantId } = yield* someone
      const caseId = yield* createCase(tenantId, person.id)
      const from = idOf(yield* send(endpoint, fileOf("mp4", 1000), { headers }))
      yield* attach(person, [from], caseId)
      const attachments = yield* Attachments
      const poster = fileOf("jpeg", 3000)
      const add = (bytes: Buffer, name = "poster") =>
        attachments
          .addDerived({
            from,
            kind: "poster",
            name,
            mediaType: "image/jpeg",
            stream: Stream.make(bytes.subarray(0, 100), bytes.subarray(100)),
            metadata: { at: 1.5 }
          })
          .pipe(as(person))
      yield* add(fileOf("jpeg", 2000))
      const copy = yield* add(poster)
      yield* add(poster, "another")
      assert.strictEqual(copy.sha256, sha256(poster))
      assert.deepStrictEqual(
        (yield* attachments.derivedFrom(from).pipe(as(person))).map((one) => [one.name, one.size, one.metadata]),
        [
          ["poster", 3000, { at: 1.5 }],
          ["another", 3000, { at: 1.5 }]
        ]
      )
      assert.strictEqual((yield* attachments.forCase(caseId).pipe(as(person))).length, 3)
      yield* sweepUploads
      assert.strictEqual((yield* keysOf(tenantId)).length, 3)
      const lost = yield* Effect.flip(
        attachments
          .addDerived({
            from: yield* newId,
            kind: "x",
            name: "x",
            mediaType: "image/jpeg",
            stream: Stream.make(poster)
          })
          .pipe(as(person))
      )
      assert.strictEqual(lost._tag, "NotFound")
      assert.strictEqual((yield* keysOf(tenantId)).length, 3)
    })
  )

  it.effect("writes_a_file_for_tools_and_notices_a_changed_blob", () =>
    Effect.gen(function* () {
      const { endpoint, headers, person, tenantId } = yield* someone
      const file = fileOf("mp4", 300_000)
      const id = idOf(yield* send(endpoint, file, { headers }))
      const folder = yield* Effect.acquireRelease(
        Effect.promise(() => mkdtemp(join(tmpdir(), "mahalla-to-file-"))),
        (path) => Effect.promise(() => rm(path, { recursive: true }))
      )
      const { toFile } = yield* Attachments
      const path = yield* toFile(id, folder).pipe(as(person))
      assert.isTrue(file.equals(yield* Effect.promise(() => readFile(path))))
      yield* Effect.promise(() => writeFile(path, "something longer that stood there before"))
      const blobs = yield* BlobStore
      yield* blobs.put(originalKey(tenantId, id), Stream.make(fileOf("mp4", 300_000)))
      assert.strictEqual((yield* Effect.flip(toFile(id, folder).pipe(as(person))))._tag, "AttachmentDamaged")
    })
  )

  it.effect("stores_nothing_that_the_scanner_has_not_cleared", () =>
    Effect.gen(function* () {
      let works = false
      const scanner = (file: Stream.Stream<Uint8Array, unknown>) =>
        Effect.flatMap(text(file), (bytes) =>
          works
            ? Effect.succeed(
                bytes.includes("EICAR") ? { clean: false as const, name: "Eicar-Test" } : { clean: true as const }
              )
            : Effect.fail("no scanner there")
        )
      const { endpoint, headers, tenantId } = yield* someone.pipe(Effect.provideService(AttachmentScanner, scanner))
      const bad = Buffer.concat([fileOf("mp4", 1000), Buffer.from("EICAR")])
      const url = placeOf(endpoint, yield* begin(endpoint, headers, bad.length))
      const waiting = yield* patch(url, headers, 0, bad)
      assert.strictEqual(waiting.status, 503)
      assert.strictEqual((yield* rowOf(tenantId, url)).state, "uploading")
      works = true
      assert.strictEqual((yield* head(url, headers)).status, 422)
      const row = yield* rowOf(tenantId, url)
      assert.deepStrictEqual([row.state, row.reason], ["rejected", "infected"])
      yield* sweepUploads
      assert.deepStrictEqual(yield* keysOf(tenantId), [])
      const good = yield* send(endpoint, fileOf("mp4", 1000), { headers })
      assert.strictEqual((yield* rowOf(tenantId, good)).state, "stored")
    })
  )

  it.effect("sweeps_what_nobody_waits_for_and_nothing_else", () =>
    Effect.gen(function* () {
      const { endpoint, headers, person, tenantId } = yield* someone
      const abandoned = placeOf(endpoint, yield* begin(endpoint, headers, 1000))
      yield* patch(abandoned, headers, 0, fileOf("mp4", 500))
      const unattached = yield* send(endpoint, fileOf("mp4", 1000), { headers })
      const attached = yield* send(endpoint, fileOf("mp4", 1000), { headers })
      yield* attach(person, [idOf(attached)], yield* createCase(tenantId, person.id))
      yield* sweepUploads
      assert.strictEqual((yield* head(abandoned, headers)).status, 200)
      yield* daysPass(tenantId)
      assert.strictEqual((yield* head(abandoned, headers)).status, 410)
      assert.strictEqual((yield* patch(abandoned, headers, 500, Buffer.alloc(500))).status, 410)
      // What a request that came too late has left.
      const blobs = yield* BlobStore
      yield* blobs.put(`t/${tenantId}/uploads/${idOf(attached)}/0000000000000-late`, Stream.make(Buffer.alloc(10)))
      yield* Effect.all([sweepUploads, sweepUploads], { concurrency: 2 })
      assert.strictEqual((yield* rowOf(tenantId, abandoned)).state, "deleted")
      assert.strictEqual((yield* rowOf(tenantId, unattached)).state, "deleted")
      const kept = yield* rowOf(tenantId, attached)
      assert.strictEqual((yield* blobOf(kept.blobKey!)).length, 1000)
      assert.deepStrictEqual(yield* keysOf(tenantId), [kept.blobKey])
      assert.deepStrictEqual(
        (yield* eventsOf(tenantId)).map((event) => event.type),
        ["attachment.stored", "attachment.stored", "attachment.expired"]
      )
      assert.strictEqual((yield* rowOf(tenantId, unattached)).blobKey, null)
    })
  )
})
