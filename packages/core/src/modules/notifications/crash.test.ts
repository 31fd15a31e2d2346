import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { inject } from "vitest"
import { type Database, PlatformTx, withPlatform } from "../../kernel/db/Database.ts"
import { newsCity, newsRoom } from "../../test/newsRoom.ts"
import { TestKernel } from "../../testing/kernel.ts"
import { sendDigests } from "./digests.ts"
import { nextPage } from "./runBroadcast.ts"

const script = fileURLToPath(new URL("../../test/newsWorker.ts", import.meta.url))
const flags = ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"]

/** Starts a worker, and kills it as soon as it has got on. `progress`: how far it is. */
const killed = Effect.fnUntraced(function* (
  args: ReadonlyArray<string>,
  progress: Effect.Effect<number, unknown, Database>
) {
  const { app, platform } = yield* TestKernel
  const began = yield* progress
  const child = spawn(process.execPath, [...flags, script, Redacted.value(app), Redacted.value(platform), ...args], {
    stdio: ["ignore", "ignore", "inherit"]
  })
  const exit = once(child, "exit")
  yield* Effect.repeat(progress, { until: (now) => now > began || child.exitCode !== null })
  child.kill("SIGKILL")
  yield* Effect.promise(() => exit)
})

const amount = 20_000

const filled = Effect.gen(function* () {
  const city = yield* newsCity()
  yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql`
        insert into mahalla.principal (tenant_id, id, kind, phone, language)
        select ${city.tenantId}, gen_random_uuid(), 'person', '+99877' || lpad(n::text, 7, '0'), 'en' from generate_series(1, ${amount}::int) n`
    )
  )
  return city
})

layer(newsRoom(inject("postgresUrl")), { excludeTestServices: true, timeout: "60 seconds" })("after kill -9", (it) => {
  it.effect(
    "a_broadcast_goes_on_and_tells_nobody_twice",
    () =>
      Effect.gen(function* () {
        const { inside, rows, tenantId } = yield* filled
        const id = "01a1fb96-0a6f-7324-b14e-40eab5e1b1aa"
        yield* rows(
          ({ sql }) => sql`
            insert into mahalla.broadcast (tenant_id, id, state, filters, category, urgency, texts, created_by, created_at)
            values (${tenantId}, ${id}, 'running', '{}', 'city', 'normal', '{"en": {"text": "No water."}}', ${id}, now()) returning id`
        )
        const seen = Effect.map(
          rows<{ people: number }>(
            ({ sql }) => sql`select seen::int as people from mahalla.broadcast where id = ${id}`
          ),
          ([row]) => row!.people
        )
        for (let kill = 0; kill < 3; kill++) yield* killed([tenantId, id], seen)
        const [part] = yield* rows<{ people: number; messages: number }>(
          ({ sql }) => sql`
            select b.seen::int as people, (select count(*)::int from mahalla.message m where m.tenant_id = b.tenant_id and m.event_id = b.id) as messages
            from mahalla.broadcast b where b.id = ${id}`
        )
        assert.isAbove(part!.people, 0)
        assert.isBelow(part!.people, amount)
        // What is written and what is said to be written are one transaction.
        assert.strictEqual(part!.messages, part!.people)
        while (yield* inside(nextPage(id)));
        const [all] = yield* rows<{ messages: number; people: number; ordered: number }>(
          ({ sql }) => sql`
            select count(*)::int as messages, count(distinct principal_id)::int as people,
              (select count(*)::int from mahalla.job where tenant_id = ${tenantId} and topic = 'notifications.send-part') as ordered
            from mahalla.message where tenant_id = ${tenantId} and event_id = ${id}`
        )
        assert.deepStrictEqual(all, { messages: amount, people: amount, ordered: amount / 100 })
      }),
    120_000
  )

  it.effect(
    "digests_go_on_and_no_news_is_told_twice_or_lost",
    () =>
      Effect.gen(function* () {
        const { rows, tenantId } = yield* filled
        yield* withPlatform(
          Effect.flatMap(
            PlatformTx,
            ({ sql }) => sql`
              insert into mahalla.digest_item (tenant_id, id, principal_id, event_id, category, text, created_at)
              select ${tenantId}, gen_random_uuid(), id, gen_random_uuid(), 'cases', 'News ' || n, now()
              from mahalla.principal cross join generate_series(1, 2) n where tenant_id = ${tenantId}`
          )
        )
        yield* rows(
          ({ sql }) => sql`
            insert into mahalla.digest_due (tenant_id, principal_id, due_at)
            select tenant_id, id, now() - interval '1 minute' from mahalla.principal where tenant_id = ${tenantId} limit 3000 returning 1 as one`
        )
        const state = Effect.map(
          rows<{ digests: number; people: number; told: number; due: number }>(
            ({ sql }) => sql`
              select count(*)::int as digests, count(distinct principal_id)::int as people,
                (select count(*)::int from mahalla.digest_item where tenant_id = ${tenantId} and digest_id is not null) as told,
                (select count(*)::int from mahalla.digest_due where tenant_id = ${tenantId}) as due
              from mahalla.message where tenant_id = ${tenantId} and source = 'digest'`
          ),
          ([found]) => found!
        )
        const made = Effect.map(state, ({ digests }) => digests)
        for (let kill = 0; kill < 3; kill++) yield* killed([tenantId], made)
        const part = yield* state
        assert.isBelow(part.digests, 3000)
        assert.deepStrictEqual([part.told, part.due], [part.digests * 2, 3000 - part.digests])
        yield* sendDigests
        assert.deepStrictEqual(yield* state, { digests: 3000, people: 3000, told: 6000, due: 0 })
      }),
    120_000
  )
})
