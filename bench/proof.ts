/**
 * One inclusion proof out of a large log, through the kernel as the role `app` under row-level security: a transaction, the nodes, the folding.
 * Leaves are made up by SQL, the tree above them is a true one, and every proof is verified. Arguments: `--leaves=10000000`, `--proofs=2000`.
 */
import * as Effect from "effect/Effect"
import { TenantTx, withTenant } from "../packages/core/src/kernel/db/Database.ts"
import { prove, readLeafHashes } from "../packages/core/src/kernel/transparency-log/sql.ts"
import { consistencyBetween, inclusionAt, rootAt } from "../packages/core/src/kernel/transparency-log/tree.ts"
import { verifyConsistency, verifyInclusion } from "../packages/core/src/kernel/transparency-log/verify.ts"
import { onLog, tenantId } from "./audit/log.ts"
import { figure, quantile } from "./measure.ts"

const leaves = `
  insert into mahalla.log_node (tenant_id, level, number, hash)
  select $1::uuid, 0, n, sha256(int8send(n)) from generate_series($2::bigint, $3::bigint - 1) as n`
const level = `
  insert into mahalla.log_node (tenant_id, level, number, hash)
  select $1::uuid, ($2::int + 1)::smallint, a.number / 2, sha256('\\x01'::bytea || a.hash || b.hash)
  from mahalla.log_node a join mahalla.log_node b on b.tenant_id = a.tenant_id and b.level = a.level and b.number = a.number + 1
  where a.tenant_id = $1 and a.level = $2 and a.number % 2 = 0 and a.number >= $3 and a.number < $4`

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const value = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1]
  const size = Number(value("leaves") ?? 10_000_000)
  const proofs = Number(value("proofs") ?? 2_000)
  const step = 1_000_000
  await onLog(({ sql }) =>
    Effect.gen(function* () {
      yield* Effect.promise(async () => {
        for (let at = 0; at < size; at += step) await sql.query(leaves, [tenantId, at, Math.min(at + step, size)])
        for (let at = 0, count = size; count > 1; at++, count = Math.floor(count / 2))
          for (let from = 0; from < count; from += step)
            await sql.query(level, [tenantId, at, from, Math.min(from + step, count)])
        await sql.query("vacuum analyze mahalla.log_node")
      })
      const inside = withTenant(tenantId)
      const [root] = yield* inside(Effect.flatMap(TenantTx, (reader) => prove(reader, rootAt(size))))
      const times: Array<number> = []
      const proveOne = Effect.fnUntraced(function* (place: number) {
        const began = performance.now()
        const { path, hash } = yield* inside(
          Effect.gen(function* () {
            const reader = yield* TenantTx
            const [leaf] = yield* readLeafHashes(reader, place, place + 1)
            return { hash: leaf!.hash, path: yield* prove(reader, inclusionAt(place, size)) }
          })
        )
        const took = performance.now() - began
        const proof = { place, size, leaf: Buffer.from(hash, "hex"), root: root!, path }
        if (!verifyInclusion(proof)) return yield* Effect.die(new Error(`The proof of ${place} does not hold`))
        return took
      })
      const anywhere = () => Math.floor(Math.random() * size)
      // The first ones compile the code.
      for (let n = 0; n < 200; n++) yield* proveOne(anywhere())
      for (let n = 0; n < proofs; n++) times.push(yield* proveOne(anywhere()))
      const from = Math.floor(size / 3)
      const began = performance.now()
      const [older, path] = yield* inside(
        Effect.flatMap(TenantTx, (reader) =>
          Effect.all([prove(reader, rootAt(from)), prove(reader, consistencyBetween(from, size))])
        )
      )
      const consistency = performance.now() - began
      if (!verifyConsistency({ from: { size: from, root: older[0]! }, to: { size, root: root! }, path }))
        return yield* Effect.die(new Error("The consistency proof does not hold"))
      figure("proof", `inclusion of ${size}, p50`, "ms", quantile(times, 0.5), 5)
      figure("proof", `inclusion of ${size}, p99`, "ms", quantile(times, 0.99))
      figure("proof", "consistency, with the older root", "ms", consistency)
      const { rows } = yield* Effect.promise(() =>
        sql.query<{ size: string }>("select pg_total_relation_size('mahalla.log_node') as size")
      )
      figure("proof", "the tree on the disk, index included", "bytes for each leaf", Number(rows[0]!.size) / size)
    })
  )
}
