/**
 * Asking registers. A register that has not answered is asked again under the same id, for a week; nobody is refused because an answer
 * was lost.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { PlatformTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { insertJobs } from "../../kernel/jobs/enqueue.ts"
import { defineJob, JobFailure } from "../../kernel/jobs/Job.ts"
import { IdentityRegisters } from "../../kernel/ports.ts"
import type { IdentityAnswer } from "../../ports/IdentityCheck.ts"
import { checkLimits, openQuestion, settleCheck } from "./checks.ts"

const again = (checkId: string, why: string) =>
  new JobFailure({ message: `Identity check ${checkId} waits: ${why}`, permanent: false })

/** Milliseconds beyond a register's own patience after which we stop waiting for it. */
const grace = 1_000

export const checkJob = defineJob({
  topic: "identity.check",
  payload: Schema.Struct({ checkId: Schema.String }),
  timeout: 60_000,
  run: ({ checkId }, { tenantId }) =>
    Effect.gen(function* () {
      const inside = withTenant(tenantId)
      const question = yield* inside(openQuestion(checkId))
      if (question === undefined) return
      const register = (yield* IdentityRegisters).get(question.register)
      if (register === undefined)
        return yield* again(checkId, `the city has no register ${question.register} any more. Add the plugin again.`)
      const { claims, purpose } = question
      const answer = yield* register.check({ id: checkId, claims, purpose }).pipe(
        Effect.timeoutOrElse({
          duration: register.patience + grace,
          orElse: () => Effect.succeed<IdentityAnswer>({ state: "unknown", message: "It took longer than it says." })
        }),
        // Asking has no effect, so a refusal of the form says what every later one would.
        Effect.catchIf(
          ({ reason }) => reason === "InvalidRequest",
          () => Effect.succeed({ state: "not-confirmed", reason: "not-usable" } as const)
        )
      )
      if (answer.state === "unknown") return yield* again(checkId, `${answer.message} It is asked again under this id.`)
      yield* inside(settleCheck(checkId, answer))
    })
})

/** Questions whose time is over, with what was claimed in them. */
const giveUp = Effect.gen(function* () {
  const before = new Date((yield* Clock.currentTimeMillis) - checkLimits.life * 1_000)
  const rows = yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<{ tenant_id: string; id: string }>`
        select tenant_id, id from mahalla.identity_check where state = 'waiting' and asked_at < ${before} order by asked_at limit 500`
    )
  )
  for (const { id, tenant_id } of rows) yield* withTenant(tenant_id)(settleCheck(id, { state: "no-answer" }))
})

/** Questions that nobody works on any more get a job again: a safety net under the queue. */
const recoverJobs = withPlatform(
  Effect.gen(function* () {
    const { sql } = yield* PlatformTx
    const before = new Date((yield* Clock.currentTimeMillis) - 600_000)
    const rows = yield* sql<{ tenant_id: string; id: string }>`
      select c.tenant_id, c.id from mahalla.identity_check c
      where c.state = 'waiting' and c.asked_at < ${before}
        and not exists (select from mahalla.job j where j.tenant_id = c.tenant_id and j.topic = 'identity.check' and j.body ->> 'checkId' = c.id::text)
      order by c.asked_at limit 500`
    yield* insertJobs(
      sql,
      rows.map((row) => ({
        tenantId: row.tenant_id,
        topic: "identity.check",
        body: { checkId: row.id },
        uniqueKey: row.id,
        maxAttempts: 100
      }))
    )
  })
)

/** The repeated work. */
export const recoverChecks = Effect.andThen(giveUp, recoverJobs)
