/**
 * The sealer: a backlog of events taken into the tree as fast as it goes, and what writers lose by a sealer that keeps up with them in the same
 * process. The backlog is written by SQL, already in order. Arguments: `--events=1000000`, `--rounds=9`, `--seconds=4` per slice, `--writers=8`.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { withPlatform, withTenant } from "../packages/core/src/kernel/db/Database.ts"
import { appendEvent } from "../packages/core/src/kernel/events/append.ts"
import { defineEvent } from "../packages/core/src/kernel/events/Event.ts"
import { sequence } from "../packages/core/src/kernel/events/sequencer.ts"
import { makeSealer, sealerBatch, sealTenant } from "../packages/core/src/kernel/transparency-log/seal.ts"
import { onLog, tenantId } from "./audit/log.ts"
import { figure, interleave, report, type Sample } from "./measure.ts"

const Happened = defineEvent({
  id: "bench.happened",
  payload: Schema.Struct({ from: Schema.String, to: Schema.String, version: Schema.Int })
})
const payload = { from: "in-review", to: "accepted", version: 3 }
const options = { checkpointEvery: 60 }

const fill = `
  with made as (
    insert into mahalla.event (tenant_id, id, type, case_id, payload, occurred_at)
    select $1::uuid, uuidv7(), 'bench.happened', uuidv7(), '${JSON.stringify(payload)}', now() from generate_series(1, $2::int)
    returning id)
  insert into mahalla.event_order (tenant_id, position, event_id)
  select $1::uuid, $3::bigint + row_number() over (order by id), id from made`

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const value = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1]
  const events = Number(value("events") ?? 1_000_000)
  const rounds = Number(value("rounds") ?? 9)
  const seconds = Number(value("seconds") ?? 4)
  const writers = Number(value("writers") ?? 8)
  await onLog(({ sql }) =>
    Effect.gen(function* () {
      yield* Effect.promise(async () => {
        for (let at = 0; at < events; at += 100_000)
          await sql.query(fill, [tenantId, Math.min(100_000, events - at), at])
        await sql.query("insert into mahalla.event_head (tenant_id, position) values ($1, $2)", [tenantId, events])
        for (const table of ["event", "event_order"]) await sql.query(`vacuum analyze mahalla.${table}`)
      })
      const began = performance.now()
      const cpu = process.cpuUsage()
      let sealed = 0
      for (let last = -1; last !== 0; sealed += last) last = yield* sealTenant(tenantId, options)
      const took = (performance.now() - began) / 1000
      const { system, user } = process.cpuUsage(cpu)
      figure("seal", `events sealed a second, of ${sealed}`, "1/s", sealed / took, 20_000)
      figure("seal", "CPU of the sealer's process for 1,000 events", "ms", (system + user) / sealed)

      const slice = (sealing: boolean) =>
        Effect.gen(function* () {
          let written = 0
          const until = performance.now() + seconds * 1000
          const order = yield* Effect.forkChild(
            Effect.forever(Effect.andThen(withPlatform(sequence()), Effect.sleep("20 millis")))
          )
          const sealer = makeSealer(options)
          const seal = sealing
            ? yield* Effect.forkChild(
                Effect.forever(
                  // As the city does it.
                  Effect.flatMap(sealer, (sealed) =>
                    sealed < sealerBatch ? Effect.sleep("1 second") : Effect.yieldNow
                  )
                )
              )
            : undefined
          const one = Effect.andThen(
            withTenant(tenantId)(appendEvent(Happened, payload)),
            Effect.sync(() => void written++)
          )
          yield* Effect.forEach(
            Array.from({ length: writers }),
            () => Effect.repeat(one, { while: () => performance.now() < until }),
            { concurrency: "unbounded", discard: true }
          )
          yield* Fiber.interrupt(order)
          if (seal !== undefined) yield* Fiber.interrupt(seal)
          // What this slice wrote is no work of the next one.
          yield* withPlatform(sequence())
          while ((yield* sealTenant(tenantId, options)) > 0) {}
          return { writes: written / seconds } satisfies Sample
        })
      const services = yield* Effect.context<Effect.Services<ReturnType<typeof slice>>>()
      const running = (sealing: boolean) => () => Effect.runPromiseWith(services)(slice(sealing))
      yield* slice(true)
      const samples = yield* Effect.promise(() => interleave({ ours: running(true), floor: running(false) }, rounds))
      report({
        bench: "seal",
        metric: "writes",
        unit: "transactions/s",
        ours: samples.ours,
        floor: samples.floor,
        against: "the same writers without a sealer"
      })
    })
  )
}
