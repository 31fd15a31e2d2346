/** What stands behind the doors of the audit log. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { InvalidInput, NotFound } from "../../kernel/cases/model.ts"
import { type Database, TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { answering, inTenant } from "../../kernel/http/Door.ts"
import { limitReads } from "../../kernel/limits/address.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { jcs } from "../../kernel/transparency-log/leaf.ts"
import {
  type Checkpoint,
  latestCheckpoint,
  type LogReader,
  positionOf,
  prove,
  readCheckpoints,
  readLeafHashes,
  readLeaves,
  treeSize
} from "../../kernel/transparency-log/sql.ts"
import { consistencyBetween, inclusionAt, rootAt } from "../../kernel/transparency-log/tree.ts"
import { AuditApi } from "./auditApi.ts"

const viewOf = ({ madeAt, root, signed, size }: Checkpoint) => ({ size, root, signed, madeAt: madeAt.toISOString() })

const text = (hash: Buffer) => hash.toString("base64url")

const wrong = (field: string, detail: string) => new InvalidInput({ issues: [{ pointer: `#query/${field}`, detail }] })

/** The latest checkpoint, which is missing until the first event was sealed. */
const latest = Effect.fnUntraced(function* (reader: LogReader) {
  const found = yield* latestCheckpoint(reader)
  return found ?? (yield* new NotFound({ what: "checkpoint", id: "yet" }))
})

/** A size that was asked for: within the tree, or else the latest checkpoint's. */
const sizeIn = Effect.fnUntraced(function* (reader: LogReader, field: string, asked: number | undefined) {
  if (asked === undefined) return (yield* latest(reader)).size
  const sealed = yield* treeSize(reader)
  if (asked > sealed) return yield* wrong(field, `The log has ${sealed} events; ask for no more than that.`)
  return asked
})

/** The event's position, by whichever of the two was given. */
const asked = Effect.fnUntraced(function* (
  reader: LogReader,
  query: { readonly event?: string; readonly position?: number }
) {
  if ((query.event === undefined) === (query.position === undefined))
    return yield* wrong("event", "Give the event's id, or its position, and not both.")
  if (query.position !== undefined) return query.position
  const found = yield* positionOf(reader, query.event!)
  return found ?? (yield* new NotFound({ what: "event", id: query.event! }))
})

const linesAtOnce = 500

/**
 * The log as lines of JSON, page by page, each page in a transaction of its own. What a page says was there when it was read: an event
 * whose row is gone has its hash and `leaf: null`; one whose payload was dropped by age says `dropped: true` besides.
 */
const exportFrom = Effect.fnUntraced(function* (from: number) {
  const actor = yield* Actor
  const services = yield* Effect.context<Database>()
  const pageAfter = (after: number) =>
    withTenant(actor.tenantId)(
      Effect.gen(function* () {
        const reader = yield* TenantTx
        const upTo = Math.min(after + linesAtOnce, yield* treeSize(reader))
        const hashes = yield* readLeafHashes(reader, after, upTo)
        const leaves = new Map(
          (yield* readLeaves(reader, after, linesAtOnce)).map(({ dropped, leaf, position }) => [
            position,
            { leaf, ...(dropped ? { dropped } : {}) }
          ])
        )
        const lines = hashes.map(({ hash, position }) => {
          const line = { position: Number(position), hash, ...(leaves.get(Number(position)) ?? { leaf: null }) }
          return `${jcs(line)}\n`
        })
        return { lines, next: hashes.length === linesAtOnce ? Option.some(upTo) : Option.none<number>() }
      })
    )
  const body = Stream.paginate(from - 1, (after) =>
    Effect.map(pageAfter(after), ({ lines, next }) => [[lines.join("")], next] as const)
  ).pipe(
    Stream.tapCause((cause) => Effect.logError("An export of the log broke off", cause)),
    Stream.encodeText
  )
  return HttpServerResponse.stream(Stream.provideContext(body, services), {
    contentType: "application/x-ndjson",
    headers: { "content-disposition": 'attachment; filename="audit.ndjson"' }
  })
})

export const auditHandlers = HttpApiBuilder.group(AuditApi, "audit", (handlers) =>
  handlers
    .handle("latestCheckpoint", () =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("audit.read")
          return viewOf(yield* latest(yield* TenantTx))
        })
      )
    )
    .handle("listCheckpoints", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("audit.read")
          const limit = query.limit ?? 50
          const items = (yield* readCheckpoints(yield* TenantTx, query.cursor ?? 0, limit)).map(viewOf)
          return { items, ...(items.length === limit ? { cursor: String(items.at(-1)!.size) } : {}) }
        })
      )
    )
    .handle("inclusionProof", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("audit.read")
          const reader = yield* TenantTx
          const position = yield* asked(reader, query)
          const sealed = yield* treeSize(reader)
          if (position > sealed) return yield* new NotFound({ what: "sealed event at position", id: String(position) })
          const size = yield* sizeIn(reader, "size", query.size)
          if (position > size)
            return yield* wrong("size", `The event stands at ${position}; ask at a size of at least that.`)
          const [hashes, events, path, root] = [
            yield* readLeafHashes(reader, position - 1, position),
            yield* readLeaves(reader, position - 1, 1),
            yield* prove(reader, inclusionAt(position - 1, size)),
            yield* prove(reader, rootAt(size))
          ]
          const event = query.event ?? events.find((one) => one.position === position)?.id
          if (event === undefined) return yield* new NotFound({ what: "event at position", id: String(position) })
          return {
            event,
            position,
            size,
            leaf: text(Buffer.from(hashes[0]!.hash, "hex")),
            root: text(root[0]!),
            path: path.map(text)
          }
        })
      )
    )
    .handle("consistencyProof", ({ query: { from, to: asking } }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("audit.read")
          const reader = yield* TenantTx
          const to = yield* sizeIn(reader, "to", asking)
          if (from > to) return yield* wrong("from", `The tree at ${to} is not older than at ${from}; swap the two.`)
          const [fromRoot, toRoot, path] = [
            yield* prove(reader, rootAt(from)),
            yield* prove(reader, rootAt(to)),
            yield* prove(reader, consistencyBetween(from, to))
          ]
          return { from, fromRoot: text(fromRoot[0]!), to, toRoot: text(toRoot[0]!), path: path.map(text) }
        })
      )
    )
    .handle("exportLog", ({ query }) =>
      answering(
        Effect.gen(function* () {
          yield* demandEverywhere("audit.read")
          yield* limitReads("export")
          return (yield* exportFrom(query.from ?? 1)) as never
        })
      )
    )
)
