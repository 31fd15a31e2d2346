/** A city with webhooks, a courier that the test starts, and a receiver in a process of its own. */
import { fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Deployment } from "../kernel/Deployment.ts"
import { createCase } from "../kernel/cases/create.ts"
import { CaseTypes, makeCaseTypes, storeCaseTypes } from "../kernel/cases/registry.ts"
import { defineCaseType } from "../kernel/cases/CaseType.ts"
import { PlatformTx, withPlatform } from "../kernel/db/Database.ts"
import { catchUp } from "../kernel/events/Consumer.ts"
import { sequence } from "../kernel/events/sequencer.ts"
import { EventFeed } from "../kernel/live/EventFeed.ts"
import { OutwardNetworks } from "../kernel/outward/networks.ts"
import { Policy } from "../kernel/policy/Policy.ts"
import { presetRoles, rolesOf } from "../kernel/policy/presets.ts"
import type { Principal } from "../kernel/policy/Principal.ts"
import { makeRoleBook, RoleBook } from "../kernel/policy/roles.ts"
import { createPrincipal, createTenant, testKernel } from "../testing/kernel.ts"
import { type AttemptsOptions, makeAttempts } from "../modules/webhooks/attempt.ts"
import { webhooksConsumer } from "../modules/webhooks/consumer.ts"
import { makeCourier } from "../modules/webhooks/Courier.ts"
import { createEndpoint, type GivenEndpoint } from "../modules/webhooks/endpoints.ts"
import { Hearers } from "../modules/webhooks/Hearers.ts"
import { webhooks } from "../modules/webhooks/index.ts"
import { shownSecrets } from "../modules/webhooks/secrets.ts"
import { CourierSignal } from "../modules/webhooks/Signal.ts"
import { as, definitions } from "./caseRooms.ts"
import type { Arrival } from "./webhookReceiver.ts"

export const { migrations } = webhooks()
const types = makeCaseTypes(Object.values(definitions).map((definition) => defineCaseType({ definition })))
const typeIds = Object.keys(definitions)

/** What the module asks of a city, beside its database. */
export const webhookServices = Layer.mergeAll(Hearers.layer, CourierSignal.layer, EventFeed.layer).pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      Layer.succeed(CaseTypes, types),
      Layer.succeed(Policy, { roles: rolesOf(presetRoles, typeIds) }),
      Layer.succeed(
        RoleBook,
        makeRoleBook({ presets: presetRoles, caseTypes: typeIds, permissions: [], knows: () => true })
      ),
      // The receivers of these tests are on this machine.
      Layer.succeed(OutwardNetworks, ["127.0.0.0/8"]),
      Layer.succeed(Deployment, { mode: "production" as const, publicUrl: "https://city.example" })
    )
  )
)

export const webhookRooms = (postgresUrl: string) =>
  Layer.effectDiscard(withPlatform(storeCaseTypes(types.all))).pipe(
    Layer.provideMerge(webhookServices),
    Layer.provideMerge(testKernel({ postgresUrl, migrations, maxConnections: 16 }))
  )

/** Starts a receiver; it goes with the scope. */
export const receiver = Effect.acquireRelease(
  Effect.promise(async () => {
    const child = fork(fileURLToPath(new URL("webhookReceiver.ts", import.meta.url)))
    const [{ port }] = (await once(child, "message")) as [{ port: number }]
    const arrivals: Array<Arrival> = []
    child.on("message", (arrival) => void arrivals.push(arrival as Arrival))
    const idsAt = (path: string) =>
      arrivals.filter((one) => one.path === path).map(({ headers }) => headers["webhook-id"])
    return { child, port, arrivals, idsAt, url: (path: string) => `http://127.0.0.1:${port}${path}` }
  }),
  ({ child }) => Effect.sync(() => child.disconnect())
)

/** A tenant with an app that may see its potholes as staff do, and an administrator. */
export const hookedCity = Effect.gen(function* () {
  const { tenantId } = yield* createTenant()
  const admin = yield* createPrincipal(tenantId, { kind: "staff", roles: ["municipality-admin"] })
  const app = yield* createPrincipal(tenantId, { kind: "app", roles: ["inspector"] })
  const citizen = yield* createPrincipal(tenantId)
  const platform = <Row extends object>(
    select: (tx: PlatformTx["Service"]) => Effect.Effect<ReadonlyArray<Row>, unknown>
  ) => withPlatform(Effect.flatMap(PlatformTx, select))
  return {
    ...{ tenantId, admin, app, citizen },
    endpoint: (given: GivenEndpoint, whose: Principal = app) =>
      as(admin)(
        Effect.gen(function* () {
          const { row, secretIds } = yield* createEndpoint(given, whose.id ?? undefined)
          return { ...row, ...(yield* shownSecrets(secretIds)) }
        })
      ),
    /** Reports so many potholes, in order. */
    report: (amount: number, type = "pothole") =>
      Effect.gen(function* () {
        for (let turn = 0; turn < amount; turn++)
          yield* as(citizen)(
            createCase({ type, data: { kind: `hole ${turn}`, text: "Navoiy street 5", note: "secret" } })
          )
        yield* withPlatform(sequence())
        yield* catchUp(webhooksConsumer)
      }),
    messages: platform<{ id: string; endpointId: string; state: string; attempts: number; type: string; body: string }>(
      ({ sql }) => sql`
        select event_id as id, endpoint_id as "endpointId", state, attempts::int as attempts, type, body
        from mahalla.webhook_message where tenant_id = ${tenantId} order by endpoint_id, position, event_id`
    ),
    attempts: platform<{
      id: string
      endpointId: string
      status: number | null
      delivered: boolean
      failure: string | null
      excerpt: string | null
    }>(
      ({ sql }) => sql`
        select event_id as id, endpoint_id as "endpointId", status::int as status, delivered, failure, excerpt
        from mahalla.webhook_attempt where tenant_id = ${tenantId} order by id`
    ),
    lane: (endpointId: string) =>
      platform<{ dueAt: Date | null; holder: string | null; failures: number; restUntil: Date | null }>(
        ({ sql }) => sql`
          select due_at as "dueAt", holder, failures, rest_until as "restUntil" from mahalla.webhook_lane where endpoint_id = ${endpointId}`
      ).pipe(Effect.map(([lane]) => lane!)),
    platform
  }
})

/** A courier for as long as the scope is open. */
export const courier = (options: AttemptsOptions = {}) =>
  Effect.gen(function* () {
    const attempt = yield* makeAttempts(options)
    return yield* makeCourier({ attempt })
  })

/** Asks again and again until it holds; ten seconds unless told otherwise. */
export const eventually = <A, E, R>(self: Effect.Effect<A, E, R>, holds: (value: A) => boolean, seconds = 10) =>
  Effect.gen(function* () {
    const end = performance.now() + seconds * 1_000
    while (true) {
      const value = yield* self
      if (holds(value)) return value
      if (performance.now() > end)
        return yield* Effect.die(new Error(`It never came to that: ${JSON.stringify(value)}`))
      yield* Effect.sleep("20 millis")
    }
  })
