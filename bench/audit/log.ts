/** A kernel with one tenant whose log is filled by SQL, for benchmarks of what is done with it. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { hostDatabase } from "@mahalla/core/testing"
import { launchPostgres } from "@mahalla/postgres"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import pg from "pg"
import { type Database, layerDatabase } from "../../packages/core/src/kernel/db/Database.ts"
import { Keys } from "../../packages/core/src/kernel/keys/Keys.ts"

export const tenantId = "01a1fb96-0a6f-7324-b14e-40eab5e1b19c"

export interface Ground {
  /** The superuser's client. */
  readonly sql: pg.Client
}

/** Runs with a fresh embedded PostgreSQL (fsync on) and takes everything away afterwards. */
export const onLog = async <E>(
  work: (ground: Ground) => Effect.Effect<void, E, Database | Keys | Scope.Scope>
): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), "mahalla-bench-"))
  const all = Effect.gen(function* () {
    const { admin } = yield* launchPostgres({ dataFolder: join(folder, "postgres") })
    const database = yield* hostDatabase(Redacted.value(admin))
    const sql = new pg.Client({ connectionString: Redacted.value(database.admin) })
    yield* Effect.promise(() => sql.connect())
    yield* Effect.promise(() =>
      sql.query(`insert into mahalla.tenant (tenant_id, slug, name, settings) values ($1, 'bench', 'Bench', '{}')`, [
        tenantId
      ])
    )
    const rooms = Layer.merge(
      layerDatabase({ app: database.app, platform: database.host.platform, maxConnections: 24, pooled: false }),
      Keys.layer(Redacted.make("a secret of benchmarks, and of nothing else"))
    )
    yield* Effect.ensuring(
      Effect.provide(work({ sql }), rooms),
      Effect.promise(() => sql.end())
    )
  })
  await Effect.runPromise(Effect.scoped(all)).finally(() => rm(folder, { recursive: true, force: true }))
}
