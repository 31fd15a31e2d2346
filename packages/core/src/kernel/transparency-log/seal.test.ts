import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import pg from "pg"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../db/Database.ts"
import { createTenant, TestKernel, testKernel } from "../../testing/kernel.ts"
import { appendEvent } from "../events/append.ts"
import { defineEvent } from "../events/Event.ts"
import { sequence } from "../events/sequencer.ts"
import { Keys } from "../keys/Keys.ts"
import { encodeLeaf } from "./leaf.ts"
import { makePublisher } from "./publish.ts"
import { checkpointType, makeSealer, sealerBatch, sealTenant } from "./seal.ts"
import { prove, readCheckpoints, readLeaves, readLeafHashes, treeSize } from "./sql.ts"
import { consistencyBetween, hashLeaf, inclusionAt, rootAt } from "./tree.ts"
import { verifyConsistency, verifyInclusion } from "./verify.ts"

const Happened = defineEvent({
  id: "test.happened",
  payload: Schema.Struct({ value: Schema.Number, phone: Schema.optionalKey(Schema.String) }),
  personal: ["phone"]
})

/** Each has a checkpoint as soon as something was sealed. */
const eager = { checkpointEvery: 0 }

const write = (tenantId: string, amount: number) =>
  Effect.andThen(
    withTenant(tenantId)(
      Effect.forEach(Array.from({ length: amount }), (_, value) => appendEvent(Happened, { value, phone: "+998" }), {
        discard: true
      })
    ),
    withPlatform(sequence())
  )

const inLog = <A, E>(tenantId: string, use: (reader: TenantTx["Service"]) => Effect.Effect<A, E>) =>
  withTenant(tenantId)(Effect.flatMap(TenantTx, use))

const sizeOf = (tenantId: string) => inLog(tenantId, treeSize)
const checkpointsOf = (tenantId: string) => inLog(tenantId, (reader) => readCheckpoints(reader, 0, 1_000))

/** What the log says of itself must be what its events say, and every checkpoint must lead to every later one. */
const assertSound = Effect.fnUntraced(function* (tenantId: string, size: number) {
  assert.strictEqual(yield* sizeOf(tenantId), size)
  const leaves = yield* inLog(tenantId, (reader) => readLeaves(reader, 0, 10_000))
  const hashes = yield* inLog(tenantId, (reader) => readLeafHashes(reader, 0, 10_000))
  assert.deepStrictEqual(
    hashes.map(({ hash, position }) => [Number(position), hash]),
    leaves.slice(0, size).map(({ leaf, position }) => [position, hashLeaf(encodeLeaf(leaf!)).toString("hex")])
  )
  const checkpoints = yield* checkpointsOf(tenantId)
  const { verify } = yield* Keys
  for (const [index, later] of checkpoints.entries()) {
    const claims = yield* verify("checkpoint", later.signed, { typ: checkpointType, issuer: "mahalla" })
    assert.deepInclude(claims, { tenant: tenantId, size: later.size, root: later.root })
    const [root] = yield* inLog(tenantId, (reader) => prove(reader, rootAt(later.size)))
    assert.strictEqual(root!.toString("base64url"), later.root)
    for (const earlier of checkpoints.slice(0, index)) {
      const path = yield* inLog(tenantId, (reader) => prove(reader, consistencyBetween(earlier.size, later.size)))
      const proof = {
        from: { size: earlier.size, root: Buffer.from(earlier.root, "base64url") },
        to: { size: later.size, root: root! },
        path
      }
      assert.isTrue(verifyConsistency(proof), `${earlier.size} to ${later.size}`)
    }
  }
  return checkpoints.map((checkpoint) => checkpoint.size)
})

const asSuperuser = (text: string, values: ReadonlyArray<unknown> = []) =>
  Effect.flatMap(TestKernel, ({ admin }) =>
    Effect.promise(async () => {
      const client = new pg.Client({ connectionString: Redacted.value(admin) })
      await client.connect()
      try {
        return await client.query(text, [...values])
      } finally {
        await client.end()
      }
    })
  )

const folderOf = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "mahalla-checkpoints-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

const keys = Keys.layer(Redacted.make("a secret for the tests of the transparency log"))
const kernel = testKernel({ postgresUrl: inject("postgresUrl"), maxConnections: 16 })

// Failures are logged, and here they are meant.
layer(Layer.mergeAll(kernel, keys, Logger.layer([])), { excludeTestServices: true })("the sealer", (it) => {
  it.effect("hashes_the_order_and_nothing_that_has_no_place_in_it", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* createTenant(), yield* createTenant()]
      yield* write(one.tenantId, 5)
      yield* write(two.tenantId, 3)
      yield* withTenant(one.tenantId)(appendEvent(Happened, { value: 9 }))
      yield* makeSealer(eager)
      assert.deepStrictEqual(yield* assertSound(one.tenantId, 5), [5])
      assert.deepStrictEqual(yield* assertSound(two.tenantId, 3), [3])
      yield* withPlatform(sequence())
      yield* makeSealer(eager)
      assert.deepStrictEqual(yield* assertSound(one.tenantId, 6), [5, 6])
      assert.deepStrictEqual(yield* assertSound(two.tenantId, 3), [3])
      assert.strictEqual(yield* makeSealer(eager), 0)
      assert.deepStrictEqual(yield* assertSound(two.tenantId, 3), [3])
    })
  )

  it.effect("signs_no_more_often_than_it_is_told_and_nothing_twice", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const rare = { checkpointEvery: 3_600 }
      for (let round = 0; round < 3; round++) {
        yield* write(tenantId, 4)
        yield* sealTenant(tenantId, rare)
      }
      assert.deepStrictEqual(yield* assertSound(tenantId, 12), [4])
      // As when the hour has passed: nothing new is needed for it.
      yield* makeSealer({ checkpointEvery: 0 })
      assert.deepStrictEqual(yield* assertSound(tenantId, 12), [4, 12])
      yield* sealTenant(tenantId, eager)
      assert.deepStrictEqual(yield* assertSound(tenantId, 12), [4, 12])
    })
  )

  it.effect("goes_on_where_a_killed_one_stopped_whenever_that_was", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      let size = 0
      for (let round = 0; round < 25; round++) {
        yield* write(tenantId, 1 + (round % 7))
        size += 1 + (round % 7)
        const turn = yield* Effect.forkChild(sealTenant(tenantId, eager))
        yield* Effect.sleep(round)
        yield* Fiber.interrupt(turn)
        yield* assertSound(tenantId, yield* sizeOf(tenantId))
      }
      yield* sealTenant(tenantId, eager)
      const checkpoints = yield* assertSound(tenantId, size)
      assert.strictEqual(checkpoints.at(-1), size)
    })
  )

  it.effect("leaves_nothing_behind_when_its_session_is_ended_in_the_middle", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      yield* write(tenantId, 300)
      yield* sealTenant(tenantId, eager)
      yield* write(tenantId, 300)
      // The checkpoint waits for a lock that we hold, with the nodes already written.
      const { admin } = yield* TestKernel
      yield* Effect.promise(async () => {
        const client = new pg.Client({ connectionString: Redacted.value(admin) })
        await client.connect()
        await client.query("begin; lock table mahalla.log_checkpoint in exclusive mode")
        return client
      }).pipe(
        Effect.flatMap((client) =>
          Effect.gen(function* () {
            const turn = yield* Effect.forkChild(Effect.exit(sealTenant(tenantId, eager)))
            const killed = Effect.promise(() =>
              client.query(
                "select pg_terminate_backend(pid) from pg_locks where relation = 'mahalla.log_checkpoint'::regclass and not granted"
              )
            )
            while ((yield* killed).rowCount === 0) yield* Effect.sleep(20)
            assert.isTrue(Exit.isFailure(yield* Fiber.join(turn)))
            yield* Effect.promise(() => client.query("rollback").then(() => client.end()))
          })
        )
      )
      assert.deepStrictEqual(yield* assertSound(tenantId, 300), [300])
      yield* sealTenant(tenantId, eager)
      assert.deepStrictEqual(yield* assertSound(tenantId, 600), [300, 600])
    })
  )

  it.effect("several_at_once_seal_everything_once", () =>
    Effect.gen(function* () {
      const tenants = [yield* createTenant(), yield* createTenant()]
      const writing = Effect.forEach(tenants, ({ tenantId }) => Effect.repeat(write(tenantId, 5), { times: 19 }), {
        concurrency: "unbounded"
      })
      const sealing = Effect.repeat(makeSealer(eager), { times: 25 })
      yield* Effect.all([writing, sealing, sealing, sealing], { concurrency: "unbounded", discard: true })
      yield* makeSealer(eager)
      for (const { tenantId } of tenants) yield* assertSound(tenantId, 100)
    })
  )

  it.effect("takes_a_long_order_in_batches_and_signs_before_its_end_too", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      yield* write(tenantId, sealerBatch + 100)
      assert.strictEqual(yield* sealTenant(tenantId, eager), sealerBatch)
      assert.strictEqual(yield* sealTenant(tenantId, eager), 100)
      assert.deepStrictEqual(yield* assertSound(tenantId, sealerBatch + 100), [sealerBatch, sealerBatch + 100])
      // A proof reads a handful of nodes, however long the log is.
      const size = sealerBatch + 100
      const recipe = inclusionAt(777, size)
      assert.isAtMost(recipe.needs.length, 2 * Math.ceil(Math.log2(size)))
      const [leaf] = yield* inLog(tenantId, (reader) => readLeafHashes(reader, 777, 778))
      const [root] = yield* inLog(tenantId, (reader) => prove(reader, rootAt(size)))
      const path = yield* inLog(tenantId, (reader) => prove(reader, recipe))
      const proof = { place: 777, size, leaf: Buffer.from(leaf!.hash, "hex"), root: root!, path }
      assert.isTrue(verifyInclusion(proof))
    })
  )

  it.effect("stands_still_in_a_tenant_whose_order_has_a_hole_and_in_no_other", () =>
    Effect.gen(function* () {
      const [ill, well] = [yield* createTenant(), yield* createTenant()]
      yield* write(ill.tenantId, 4)
      yield* write(well.tenantId, 4)
      yield* asSuperuser("delete from mahalla.event_order where tenant_id = $1 and position = 3", [ill.tenantId])
      const sealer = makeSealer(eager)
      yield* sealer
      assert.strictEqual(yield* sizeOf(ill.tenantId), 0)
      yield* assertSound(well.tenantId, 4)
      // It goes on being tried, and does not stop the others then either.
      yield* Effect.sleep(1_100)
      yield* write(well.tenantId, 2)
      yield* sealer
      yield* assertSound(well.tenantId, 6)
      const refused = yield* Effect.flip(sealTenant(ill.tenantId, eager))
      assert.match(refused.message, /Event 3 of tenant .* is not there/)
      yield* asSuperuser("delete from mahalla.event_order where tenant_id = $1", [ill.tenantId])
      yield* asSuperuser("delete from mahalla.event_head where tenant_id = $1", [ill.tenantId])
    })
  )

  it.effect("keeps_its_proofs_when_a_person_is_erased", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      yield* write(tenantId, 3)
      yield* sealTenant(tenantId, eager)
      yield* asSuperuser("delete from mahalla.event_personal where tenant_id = $1", [tenantId])
      yield* assertSound(tenantId, 3)
      const [first] = yield* inLog(tenantId, (reader) => readLeaves(reader, 0, 1))
      assert.deepStrictEqual(first!.leaf!.payload, { value: 0 })
      assert.deepStrictEqual(Object.keys(first!.leaf!.commitments), ["phone"])
    })
  )

  it.effect("writes_into_tables_that_nobody_changes", () =>
    Effect.gen(function* () {
      const [ours, theirs] = [yield* createTenant(), yield* createTenant()]
      yield* write(ours.tenantId, 2)
      yield* write(theirs.tenantId, 2)
      yield* makeSealer(eager)
      const change = [
        "update mahalla.log_node set hash = hash",
        "delete from mahalla.log_node",
        "update mahalla.log_checkpoint set size = size",
        "delete from mahalla.log_checkpoint",
        "truncate mahalla.log_node",
        "truncate mahalla.log_checkpoint"
      ]
      for (const text of change) {
        const refusal = yield* Effect.flip(Effect.sandbox(asSuperuser(text)))
        assert.match(String(refusal), /is insert-only/, text)
      }
      const rights = yield* asSuperuser(
        `select r.rolname || ' ' || privilege as what from pg_roles r, unnest('{mahalla.log_node,mahalla.log_checkpoint}'::regclass[]) t,
           unnest('{insert,update,delete,truncate}'::text[]) privilege
         where r.rolname in ('mahalla_app', 'mahalla_platform') and has_table_privilege(r.oid, t, privilege) group by 1`
      )
      assert.deepStrictEqual(rights.rows, [{ what: "mahalla_platform insert" }])
      const seen = yield* inLog(
        ours.tenantId,
        ({ sql }) =>
          sql<{ tenant: string }>`
            select tenant_id as tenant from mahalla.log_node union select tenant_id from mahalla.log_checkpoint`
      )
      assert.deepStrictEqual(seen, [{ tenant: ours.tenantId }])
    })
  )

  it.effect("has_every_checkpoint_in_a_file_once_whatever_tore_it_off", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const folder = yield* folderOf
      const file = join(folder, "deep", `${tenantId}.checkpoints`)
      const round = Effect.andThen(write(tenantId, 2), sealTenant(tenantId, eager))
      const expected = Effect.map(checkpointsOf(tenantId), (all) => all.map(({ signed }) => `${signed}\n`).join(""))
      yield* Effect.repeat(round, { times: 2 })
      const publish = makePublisher(join(folder, "deep"))
      yield* publish
      assert.strictEqual(readFileSync(file, "utf8"), yield* expected)
      yield* round
      yield* publish
      yield* publish
      const whole = readFileSync(file, "utf8")
      assert.strictEqual(whole, yield* expected)
      // Torn off in the middle of a line, at its end, and before it: another process begins with what the file says.
      const lastLine = whole.trimEnd().lastIndexOf("\n") + 1
      for (const length of [whole.length - 20, whole.length - 1, lastLine, lastLine + 1]) {
        truncateSync(file, length)
        yield* makePublisher(join(folder, "deep"))
        assert.strictEqual(readFileSync(file, "utf8"), whole, `cut at ${length} of ${whole.length}`)
      }
      // What somebody else wrote stays for the verifier to see.
      appendFileSync(file, "stranger")
      yield* round
      yield* publish
      const [, added] = readFileSync(file, "utf8").slice(whole.length).split("\n")
      assert.strictEqual(added, (yield* checkpointsOf(tenantId)).at(-1)!.signed)
    }).pipe(Effect.scoped)
  )

  it.effect("reports_a_database_that_knows_less_than_the_file", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const folder = yield* folderOf
      yield* Effect.repeat(Effect.andThen(write(tenantId, 2), sealTenant(tenantId, eager)), { times: 1 })
      const said: Array<string> = []
      const hearing = Effect.provide(Logger.layer([Logger.make(({ message }) => said.push(String(message)))]))
      yield* hearing(makePublisher(folder))
      assert.deepStrictEqual(said, [])
      yield* asSuperuser(
        `begin; set local session_replication_role = replica; delete from mahalla.log_checkpoint where size = 4 and tenant_id = '${tenantId}'; commit`
      )
      yield* hearing(makePublisher(folder))
      assert.match(said.join(), /has lost its end: .* has a checkpoint of 4 events, the database one of 2/)
    }).pipe(Effect.scoped)
  )

  it.effect("goes_on_sealing_when_the_folder_cannot_be_written", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const folder = yield* folderOf
      const blocked = join(folder, "file")
      appendFileSync(blocked, "")
      yield* write(tenantId, 2)
      yield* sealTenant(tenantId, eager)
      yield* makePublisher(blocked)
      assert.strictEqual(yield* sealTenant(tenantId, eager), 0)
      yield* withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => sql`select 1`))
      assert.deepStrictEqual(yield* assertSound(tenantId, 2), [2])
    }).pipe(Effect.scoped)
  )
})
