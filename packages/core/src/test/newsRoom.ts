/** A city whose people are told of their cases on several channels that can be told to misbehave, and whose clock a test holds in its hand. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { type Database, PlatformTx, TenantTx, withPlatform, withTenant } from "../kernel/db/Database.ts"
import { Deployment } from "../kernel/Deployment.ts"
import { transitionCase } from "../kernel/cases/transition.ts"
import { createCase } from "../kernel/cases/create.ts"
import { catchUp } from "../kernel/events/Consumer.ts"
import { sequence } from "../kernel/events/sequencer.ts"
import type { JobInfo } from "../kernel/jobs/Job.ts"
import { Keys } from "../kernel/keys/Keys.ts"
import { Messengers } from "../kernel/ports.ts"
import { forgetTenants } from "../kernel/tenancy/resolve.ts"
import type { TenantSettings } from "../kernel/tenancy/Tenant.ts"
import { Heard } from "../modules/notifications/rules.ts"
import { notifications } from "../modules/notifications/index.ts"
import { type DeliveryReceipt, Messenger } from "../ports/Messenger.ts"
import { memoryMessenger } from "../testing/Messenger.memory.ts"
import { MessengerControl } from "../testing/Messenger.suite.ts"
import { createPrincipal, createTenant } from "../testing/kernel.ts"
import { as, caseRooms, caseTypes } from "./caseRooms.ts"

const { consumers, jobs, migrations } = notifications({ caseTypes })

type Kind = Messenger["Service"]["channel"]

interface Line {
  readonly control: MessengerControl["Service"]
  readonly service: Messenger["Service"]
  readonly receipt: (receipt: DeliveryReceipt) => void
}

/** The city's channels, each with a hand on its other side. */
export class Lines extends Context.Service<Lines, Readonly<Record<"sms" | "email" | "push" | "telegram", Line>>>()(
  "@mahalla/test/Lines"
) {}

const line = Effect.fnUntraced(function* (kind: Kind) {
  const made = yield* Layer.build(Layer.fresh(memoryMessenger()))
  const receipts = yield* Queue.unbounded<DeliveryReceipt>()
  const service = Messenger.of({
    ...Context.get(made, Messenger),
    channel: kind,
    receipts: Stream.fromQueue(receipts)
  })
  return {
    service,
    control: Context.get(made, MessengerControl),
    receipt: (receipt: DeliveryReceipt) => void Queue.offerUnsafe(receipts, receipt)
  } satisfies Line
})

const lines = Layer.unwrap(
  Effect.gen(function* () {
    const all = {
      sms: yield* line("sms"),
      email: yield* line("email"),
      push: yield* line("push"),
      telegram: yield* line("telegram")
    }
    return Layer.merge(
      Layer.succeed(Lines, all),
      Layer.succeed(Messengers, new Map(Object.entries(all).map(([name, { service }]) => [name, service])))
    )
  })
)

/** Room for tests of what people are told. */
export const newsRoom = (postgresUrl: string) =>
  Layer.mergeAll(
    lines,
    Keys.layer(Redacted.make("a secret for the tests of messages")),
    Layer.succeed(Heard, { types: ["pothole.created", "pothole.start", "pothole.fix"] }),
    Layer.succeed(Deployment, { mode: "production", publicUrl: "https://city.example" }) as Layer.Layer<never>
  ).pipe(Layer.provideMerge(caseRooms(postgresUrl, migrations)))

export type Room = Layer.Success<ReturnType<typeof newsRoom>>

/** 2026-03-20, a Friday, 11:00 in Tashkent. Far from the days on which tests run: the database has a clock of its own. */
export const noon = Date.UTC(2026, 2, 20, 6)
const farAway = 60 * 86_400_000

export const atNoon = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.andThen(TestClock.setTime(noon), self).pipe(Effect.provide(TestClock.layer(), { local: true }))

export interface SeenMessage {
  readonly id: string
  readonly who: string
  readonly channel: string
  readonly text: string
  readonly state: string
  readonly detail: string | null
  readonly source: string
  readonly attempts: number
}

/** Everybody's phone is their own in all cities of a test file. */
let people = 0

/** A tenant with people, what they do, and what they are told. */
export const newsCity = Effect.fnUntraced(function* (settings: Partial<TenantSettings> = {}) {
  const { tenantId } = yield* createTenant({ name: "Samarkand", settings })
  yield* forgetTenants
  const inside = withTenant(tenantId)
  const rows = <Row extends object>(select: (tx: TenantTx["Service"]) => Effect.Effect<ReadonlyArray<Row>, unknown>) =>
    inside(Effect.flatMap(TenantTx, select))
  const person = Effect.fnUntraced(function* (
    given: { readonly language?: string; readonly roles?: ReadonlyArray<string>; readonly phone?: boolean } = {}
  ) {
    const { language = "en", phone = true, roles } = given
    const made = yield* createPrincipal(tenantId, roles === undefined ? {} : { kind: "staff", roles })
    const number = phone ? `+9989000${String(++people).padStart(5, "0")}` : null
    yield* withPlatform(
      Effect.flatMap(
        PlatformTx,
        ({ sql }) => sql`update mahalla.principal set phone = ${number}, language = ${language} where id = ${made.id}`
      )
    )
    return { ...made, id: made.id!, phone: number! }
  })
  const attempts = new Map<string, number>()
  /** One turn of a worker: every job whose time has come, once each. Those that fail stay. Gives how many there were. */
  const work = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const due = yield* rows<{ id: string; topic: string; body: unknown }>(
      ({ sql }) => sql`
        select id, topic, body from mahalla.job where tenant_id = ${tenantId} and topic like 'notifications.%'
          and (run_at <= ${new Date(now)} or run_at > ${new Date(now + farAway)}) order by priority desc, run_at, id`
    )
    for (const job of due) {
      const attempt = (attempts.get(job.id) ?? 0) + 1
      attempts.set(job.id, attempt)
      const run = jobs.find(({ topic }) => topic === job.topic)!.run as (
        body: unknown,
        job: JobInfo
      ) => Effect.Effect<void, unknown, Database>
      const done = yield* Effect.match(run(job.body, { id: job.id, tenantId, attempt, maxAttempts: 12 }), {
        onSuccess: () => true,
        onFailure: () => attempt >= 12
      })
      if (done)
        yield* withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => sql`delete from mahalla.job where id = ${job.id}`))
    }
    return due.length
  })
  return {
    tenantId,
    inside,
    rows,
    person,
    work,
    /** Until nothing is left to do now. */
    workOff: Effect.gen(function* () {
      for (let turn = 0; turn < 20 && (yield* work) > 0; turn++);
    }),
    /** Everything that has happened is heard. */
    hear: Effect.andThen(withPlatform(sequence()), catchUp(consumers[0]!)),
    report: (owner: Parameters<typeof as>[0]) =>
      as(owner)(createCase({ type: "pothole", data: { kind: "hole", text: "a text", note: "a note" } })),
    step: (actor: Parameters<typeof as>[0], caseId: string, transition: string) =>
      as(actor)(transitionCase({ caseId, transition })),
    messages: rows<SeenMessage>(
      ({ sql }) => sql`
        select m.id, m.principal_id as who, m.channel, regexp_replace(m.text, '[0-9A-Z]{4}-[0-9A-Z]{4}', 'A1', 'g') as text, m.state, m.detail,
          m.source, m.attempts
        from mahalla.message m where m.tenant_id = ${tenantId} order by m.id`
    )
  }
})

/** Somebody's choices, in the shape of the API. */
export const choices = {
  quiet: "tenant",
  digest: "immediately",
  digestHour: 18,
  digestDay: 5,
  categories: {}
} as const
