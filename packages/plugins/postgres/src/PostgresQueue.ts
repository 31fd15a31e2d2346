/**
 * The Queue on the kernel's own table, so that a job is sent by the transaction that caused it. Nothing more to install; measured
 * against the well-known queues on PostgreSQL in `docs/decisions/queue.md`.
 */
import {
  checkQueueMessage,
  type DeadLetter,
  type Delivery,
  HostDatabase,
  Queue,
  type QueueDepth,
  QueueError
} from "@mahalla/core/plugin"
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgPool from "@effect/sql-pg/PgPool"
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import type { QueueConfig } from "./config.ts"
import { makeListener } from "./listener.ts"
import { decode, makeNotifier } from "./notifier.ts"
import { makeHints } from "./queue/hints.ts"
import { columns, isUuid, readReceipt, writeReceipt } from "./queue/receipt.ts"
import * as statements from "./queue/statements.ts"

const failure = (operation: string, subject: string) => (cause: SqlError) =>
  new QueueError({
    reason:
      cause.reason._tag === "AuthenticationError" || cause.reason._tag === "AuthorizationError"
        ? "Unauthorized"
        : "Unavailable",
    operation,
    subject,
    message: `The jobs table did not answer: ${cause.reason.cause instanceof Error ? cause.reason.cause.message : cause.message}. Check that PostgreSQL runs and that the schema is migrated.`,
    retryable: cause.reason._tag !== "AuthenticationError" && cause.reason._tag !== "AuthorizationError",
    cause
  })

const delivery = (row: PgConnection.Row): Delivery => {
  const id = row["id"] as string
  const tenantId = row["tenant_id"] as string
  return {
    id,
    tenantId,
    topic: row["topic"] as string,
    body: row["body"],
    attempt: row["attempt"] as number,
    maxAttempts: row["max_attempts"] as number,
    receipt: writeReceipt({ tenantId, id, leaseNumber: row["lease_number"] as number })
  }
}

const deadLetter = (row: PgConnection.Row): DeadLetter => ({
  id: row["id"] as string,
  tenantId: row["tenant_id"] as string,
  topic: row["topic"] as string,
  body: row["body"],
  attempts: row["attempt"] as number,
  error: (row["last_error"] as string | null) ?? "",
  diedAt: row["died_at_ms"] as number
})

/** A column with its type: the driver cannot tell the type of nulls alone. */
const typed = (values: ReadonlyArray<unknown>, oid: number) => Result.getOrThrow(PgTypes.array(values, oid))

/** Text that the table can keep. */
const words = (error: string) => error.replaceAll("\u0000", "").slice(0, 4_000)

export const layerQueue = (config: QueueConfig = {}): Layer.Layer<Queue, SqlError, HostDatabase> =>
  Layer.effect(
    Queue,
    Effect.gen(function* () {
      const database = yield* HostDatabase
      const pool = yield* PgPool.make({
        url: database.platform,
        maxConnections: config.maxConnections ?? 4,
        applicationName: "mahalla-queue",
        prepare: !database.pooled,
        // A few receipts against a table that fills and empties faster than the planner's statistics follow: by the primary key, even
        // where it believes the table to be empty. Hash joins stay possible, so that a wrong guess costs one pass and not thousands.
        ...(database.pooled ? {} : { startupParameters: { enable_seqscan: "off", random_page_cost: "1.1" } })
      })
      const hints = yield* makeHints(
        yield* makeListener(database.listen, decode),
        yield* makeNotifier({ url: database.platform, pooled: database.pooled })
      )
      const run = (operation: string, subject: string, text: string, values: ReadonlyArray<unknown>) =>
        pool.use((connection) => connection.query(text, values)).pipe(Effect.mapError(failure(operation, subject)))
      const end = (operation: string, receipt: string, delay: number | null, error: string) => {
        const held = readReceipt(receipt)
        return held === undefined
          ? Effect.void
          : Effect.asVoid(
              run(operation, held.id, statements.giveBack, [
                held.tenantId,
                held.id,
                held.leaseNumber,
                delay,
                words(error)
              ])
            )
      }
      const onIds = (operation: string, text: string, given: ReadonlyArray<string>) => {
        const ids = given.filter(isUuid)
        return ids.length === 0
          ? Effect.succeed(0)
          : Effect.map(run(operation, `${ids.length} dead letters`, text, [ids]), ({ rowCount }) => rowCount)
      }
      return Queue.of({
        transactional: true,
        send: Effect.fn("Queue.send")(function* (messages) {
          if (messages.length === 0) return
          for (const message of messages) {
            const refusal = checkQueueMessage(message)
            if (refusal !== undefined) return yield* refusal
          }
          const values = [
            messages.map(({ tenantId }) => tenantId),
            messages.map(({ id }) => id),
            messages.map(({ topic }) => topic),
            messages.map(({ body }) => JSON.stringify(body)),
            messages.map(({ priority }) => priority ?? 0),
            typed(
              messages.map(({ runAt }) => runAt ?? null),
              PgTypes.OID.float8
            ),
            typed(
              messages.map(({ uniqueKey }) => uniqueKey ?? null),
              PgTypes.OID.text
            ),
            messages.map(({ maxAttempts }) => maxAttempts ?? 12)
          ]
          const put = (text: string) => pool.use((connection) => connection.query(text, values))
          const keyed = messages.some(({ uniqueKey }) => uniqueKey !== undefined)
          yield* (keyed ? put(statements.send) : put(statements.sendNew)).pipe(
            Effect.catchIf(
              (error) => error.reason._tag === "UniqueViolation",
              () => put(statements.send)
            ),
            Effect.mapError(failure("send", `${messages.length} messages`))
          )
          yield* hints.give
        }),
        receive: ({ lease, limit, topics, worker }) =>
          Effect.map(
            run("receive", worker, statements.receive, [topics, limit, PgTypes.float8(lease), worker]),
            ({ rows }) => rows.map(delivery)
          ),
        wakeups: hints.stream,
        extend: (receipts, lease) =>
          receipts.length === 0
            ? Effect.succeed([])
            : Effect.map(
                run("extend", `${receipts.length} leases`, statements.extend, [
                  ...columns(receipts),
                  PgTypes.float8(lease)
                ]),
                ({ rows }) =>
                  rows.map((row) =>
                    writeReceipt({
                      tenantId: row["tenant_id"] as string,
                      id: row["id"] as string,
                      leaseNumber: row["lease_number"] as number
                    })
                  )
              ),
        complete: (receipts) =>
          receipts.length === 0
            ? Effect.void
            : Effect.asVoid(run("complete", `${receipts.length} leases`, statements.complete, columns(receipts))),
        retry: (receipt, { delay, error }) => end("retry", receipt, delay, error),
        release: (receipts) =>
          receipts.length === 0
            ? Effect.void
            : Effect.andThen(
                run("release", `${receipts.length} leases`, statements.release, columns(receipts)),
                hints.give
              ),
        bury: (receipt, error) => end("bury", receipt, null, error),
        deadLetters: Effect.fn("Queue.deadLetters")(function* ({ cursor, limit = 50, tenantId, topic }) {
          const [died, id] = cursor?.split("/") ?? []
          if (
            cursor !== undefined &&
            (died === undefined || id === undefined || !isUuid(id) || !/^[\d :.+-]+$/.test(died))
          )
            return yield* new QueueError({
              reason: "InvalidMessage",
              operation: "deadLetters",
              subject: "cursor",
              message: "The cursor is not one that this list gave. Begin without a cursor.",
              retryable: false
            })
          if (tenantId !== undefined && !isUuid(tenantId)) return { items: [] }
          const size = Math.min(500, Math.max(1, Math.trunc(limit)))
          const { rows } = yield* run("deadLetters", topic ?? "all", statements.deadLetters, [
            tenantId ?? null,
            topic ?? null,
            died ?? null,
            id ?? null,
            size + 1
          ])
          const items = rows.slice(0, size).map(deadLetter)
          const last = rows[size - 1]
          return rows.length > size && last !== undefined
            ? { items, cursor: `${last["cursor"] as string}/${last["id"] as string}` }
            : { items }
        }),
        replay: (ids) => Effect.tap(onIds("replay", statements.replay, ids), () => hints.give),
        discard: (ids) => onIds("discard", statements.discard, ids),
        depth: Effect.map(run("depth", "all", statements.depth, []), ({ rows }) =>
          rows.map((row): QueueDepth => ({
            topic: row["topic"] as string,
            ready: row["ready"] as number,
            delayed: row["delayed"] as number,
            leased: row["leased"] as number,
            dead: row["dead"] as number,
            oldestReady: row["oldest_ready"] as number
          }))
        )
      })
    })
  )
