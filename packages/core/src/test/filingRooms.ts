/** A city that files its decisions with an authority in memory, for tests that hold a clock in their hand. */
import * as Effect from "effect/Effect"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { Attachments } from "../kernel/attachments/Attachments.ts"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../kernel/db/Database.ts"
import { Deployment } from "../kernel/Deployment.ts"
import { newId, referenceOf } from "../kernel/ids.ts"
import { Keys } from "../kernel/keys/Keys.ts"
import { Actor, system } from "../kernel/policy/Principal.ts"
import { Authorities } from "../kernel/ports.ts"
import { fileDecision, filings } from "../modules/filings/index.ts"
import { FilingAuthorities, layerFilingAuthorities } from "../modules/filings/FilingAuthorities.ts"
import type { FilingState } from "../modules/filings/model.ts"
import { fileNext } from "../modules/filings/queue.ts"
import { Authority, AuthorityError, type Filing } from "../ports/Authority.ts"
import { memoryAuthority } from "../testing/Authority.memory.ts"
import { AuthorityControl } from "../testing/Authority.suite.ts"
import { memoryBlobStore } from "../testing/BlobStore.memory.ts"
import { createTenant, testKernel } from "../testing/kernel.ts"

export const filingRooms = (postgresUrl: string) =>
  Attachments.layer.pipe(
    Layer.provide(memoryBlobStore),
    Layer.provideMerge(testKernel({ postgresUrl, migrations: filings().migrations, maxConnections: 16 })),
    Layer.provideMerge(Keys.layer(Redacted.make("a secret of the tests of filings, not for use"))),
    Layer.provideMerge(Layer.succeed(Deployment, { mode: "dev", publicUrl: "https://city.example" }))
  )

export interface SeenFiling {
  readonly id: string
  readonly state: FilingState
  readonly verdict: string | null
  readonly fine: bigint | null
  readonly reference: string | null
  readonly detail: string | null
  readonly attempt: number
  readonly tries: number
}

/** What a test may do to the authority's way. */
export interface Way {
  /** Nobody answers. */
  away: boolean
  /** The process ends when the authority has filed, before anybody has written that down. */
  dies: boolean
  /** Numbers that it was called with, in their order. */
  readonly filed: Array<Filing>
  asked: number
}

const unavailable = (operation: string, subject: string) =>
  new AuthorityError({
    reason: "Unavailable",
    operation,
    subject,
    message: "The authority is away; try again later.",
    retryable: true
  })

/** Between us and the authority. */
const watched = (service: Authority["Service"], way: Way): Authority["Service"] => ({
  ...service,
  file: (filing) =>
    Effect.suspend(() => {
      way.filed.push(filing)
      if (way.away) return Effect.fail(unavailable("file", filing.number))
      return way.dies ? Effect.andThen(service.file(filing), Effect.die(new Error("killed"))) : service.file(filing)
    }),
  status: (number) =>
    Effect.suspend(() => {
      way.asked += 1
      return way.away ? Effect.fail(unavailable("status", number)) : service.status(number)
    })
})

const insertCase = Effect.fnUntraced(function* (tenantId: string) {
  const caseId = yield* newId
  yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      yield* sql`insert into mahalla.case_type (id, version, definition) values ('matter', 1, '{}') on conflict do nothing`
      yield* sql`
        insert into mahalla.civic_case (tenant_id, id, type, type_version, reference, state, phase, data, created_at, updated_at)
        values (${tenantId}, ${caseId}, 'matter', 1, ${referenceOf(caseId)}, 'accepted', 'fixed', '{}', now(), now())`
    })
  )
  return caseId
})

const insertEvidence = Effect.fnUntraced(function* (tenantId: string, caseId: string) {
  const id = yield* newId
  yield* withTenant(tenantId)(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql`
        insert into mahalla.attachment (tenant_id, id, case_id, role, kind, media_type, size, received, sha256, blob_key, state, created_at, stored_at)
        values (${tenantId}, ${id}, ${caseId}, 'original', 'video', 'video/mp4', 10, 10, ${"ab".repeat(32)}, ${`t/${tenantId}/${id}`}, 'stored', now(), now())`
    )
  )
  return id
})

/** A tenant, an authority of its own under a name of its own, and what can be done with both. */
export const filingCity = Effect.gen(function* () {
  const { tenantId } = yield* createTenant()
  const instance = `authority-${tenantId}`
  const memory = yield* Layer.build(Layer.fresh(memoryAuthority()))
  const way: Way = { away: false, dies: false, filed: [], asked: 0 }
  const all = new Map([[instance, watched(Context.get(memory, Authority), way)]])
  const context = yield* Layer.build(
    Layer.fresh(layerFilingAuthorities).pipe(Layer.provide(Layer.succeed(Authorities, all)))
  )
  const authorities = Context.get(context, FilingAuthorities)
  const inside = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    withTenant(tenantId)(
      self.pipe(Effect.provideService(Actor, system(tenantId)), Effect.provideService(FilingAuthorities, authorities))
    )
  const rows = inside(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql<SeenFiling>`
        select id, state, verdict, fine, reference, detail, attempt::int as attempt, tries from mahalla.filing order by id`
    )
  )
  /** An accepted violation with its evidence, filed. */
  const decided = Effect.gen(function* () {
    const caseId = yield* insertCase(tenantId)
    const attachmentId = yield* insertEvidence(tenantId, caseId)
    const file = inside(
      fileDecision({
        caseId,
        kind: "traffic-violation",
        evidenceCaseId: caseId,
        offence: "red-light",
        article: "128-1(1)",
        plate: "01A777AA",
        occurredAt: Date.UTC(2026, 10, 20, 5)
      })
    )
    assertTrue(yield* file)
    const id = (yield* rows).at(-1)!.id
    return { caseId, attachmentId, id, file }
  })
  const turn = Effect.provideService(fileNext(instance), FilingAuthorities, authorities)
  return {
    tenantId,
    instance,
    authorities,
    control: Context.get(memory, AuthorityControl),
    way,
    inside,
    rows,
    only: Effect.map(rows, ([row]) => row!),
    decided,
    turn,
    /** Turns until nothing is due, or so many. */
    turns: (most = 100) =>
      Effect.gen(function* () {
        const ends: Array<string> = []
        while (ends.length < most && ends.at(-1) !== "idle") ends.push(yield* turn)
        return ends
      }),
    pass: (minutes: number) => TestClock.adjust(`${minutes} minutes`)
  }
})

const assertTrue = (value: boolean) => {
  if (!value) throw new Error("The city has no authority for it.")
}
