/**
 * Brings a file's network into the database: what is new is added, what the file says differently is changed, what the file has no more is
 * retired. The same file again changes nothing. All of it in one transaction: readers see the old network until the new one is whole.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { newId } from "../../kernel/ids.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { type ImportFormat, type ImportReport, type NetworkFile, NetworkImported } from "./model.ts"
import { type Prepared, prepare } from "./prepare.ts"
import { lockNetwork, networkByName } from "./networks.ts"
import type { Transform } from "./transform.ts"
import { retireVanished, writeAssets } from "./write.ts"

export interface ImportRequest<R = never> {
  /** Name of the network; made where it is not there. */
  readonly network: string
  readonly format: ImportFormat
  readonly file: NetworkFile
  /** Default: that of the import before; GeoJSON has degrees. */
  readonly transform?: Transform | undefined
  /** Says what would change, and changes nothing. */
  readonly dryRun?: boolean | undefined
  /** Hears how many of all assets to write are written. */
  readonly progress?: ((done: number, total: number) => Effect.Effect<void, never, R>) | undefined
}

interface Known {
  readonly id: string
  readonly shape: string
  readonly externalId: string
  readonly digest: string | null
  readonly retired: boolean
}

const keyOf = ({ externalId, shape }: { readonly shape: string; readonly externalId: string }) =>
  `${shape} ${externalId}`

/** Rows at once: some hundred kilobytes, and progress moves. */
const batch = 2_000

const examples = (some: ReadonlyArray<{ readonly externalId: string }>) =>
  some.slice(0, 20).map(({ externalId }) => externalId)

/** Needs no permission of its own: its doors ask. */
export const importNetwork = Effect.fn("network.import")(function* <R = never>(request: ImportRequest<R>) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  const there = yield* request.dryRun === true ? networkByName(request.network) : lockNetwork(request.network, now)
  const transform: Transform | undefined =
    request.transform ?? (request.format === "geojson" ? { kind: "degrees" } : (there?.transform ?? undefined))
  const { lines, points, warnings } = yield* prepare(request.file, transform)

  const known = new Map<string, Known>()
  if (there !== undefined) {
    // By the unique key.
    const rows = yield* sql<Known>`
      select id, shape, external_id as "externalId", digest, retired_at is not null as retired from mahalla.asset
      where tenant_id = ${tenantId} and network_id = ${there.id} order by shape desc, external_id`
    for (const row of rows) known.set(keyOf(row), row)
  }
  const added: Array<Prepared> = []
  const changed: Array<Prepared> = []
  const wanted = new Set<string>()
  for (const asset of [...points, ...lines]) {
    const key = keyOf(asset)
    wanted.add(key)
    const before = known.get(key)
    if (before === undefined || before.retired) added.push(asset)
    else if (before.digest !== asset.digest) changed.push(asset)
  }
  const vanished = [...known.values()].filter((row) => !row.retired && row.digest !== null && !wanted.has(keyOf(row)))
  const report = (gone: ReadonlyArray<{ readonly externalId: string }>): ImportReport => ({
    added: added.length,
    changed: changed.length,
    retired: gone.length,
    unchanged: wanted.size - added.length - changed.length,
    examples: { added: examples(added), changed: examples(changed), retired: examples(gone) },
    warnings
  })
  if (request.dryRun === true || there === undefined) return report(vanished)

  const ids = new Map<string, string>()
  for (const [key, { id }] of known) ids.set(key, id)
  for (const asset of added) if (!ids.has(keyOf(asset))) ids.set(keyOf(asset), yield* newId)
  const writing = [...added, ...changed]
  // Points stand before lines in each of the two, and a line may need a point of either.
  const ordered = [
    ...writing.filter(({ shape }) => shape === "point"),
    ...writing.filter(({ shape }) => shape === "line")
  ]
  for (let from = 0; from < ordered.length; from += batch) {
    yield* writeAssets(
      there.id,
      ordered.slice(from, from + batch),
      (shape, externalId) => ids.get(keyOf({ shape, externalId }))!,
      now
    )
    yield* request.progress?.(Math.min(from + batch, ordered.length), ordered.length) ?? Effect.void
  }
  const retired = yield* retireVanished(
    vanished.map(({ id }) => id),
    now
  )
  const gone = vanished.filter(({ id }) => retired.has(id))
  const moved = added.length + changed.length + gone.length > 0
  yield* sql`
    update mahalla.network set source = ${request.format}, imported_at = ${now},
      transform = ${transform === undefined ? null : JSON.stringify(transform)}::text::jsonb,
      revision = case when ${moved} then ${yield* newId}::uuid else revision end
    where tenant_id = ${tenantId} and id = ${there.id}`
  const done = report(gone)
  if (moved)
    yield* appendEvent(
      NetworkImported,
      { networkId: there.id, name: request.network, added: done.added, changed: done.changed, retired: done.retired },
      { actorId: (yield* Actor).id }
    )
  return done
})
