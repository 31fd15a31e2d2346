/** Who is woken for an event and joins a look that began before it was there hears of it all the same, and soon. */
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import { inject } from "vitest"
import { createTenant, testKernel } from "../../testing/kernel.ts"
import { CaseTypes, makeCaseTypes } from "../cases/registry.ts"
import { withPlatform, withTenant } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { defineEvent } from "../events/Event.ts"
import { sequence } from "../events/sequencer.ts"
import { Policy } from "../policy/Policy.ts"
import { presetRoles, rolesOf } from "../policy/presets.ts"
import { system } from "../policy/Principal.ts"
import { makeSignals, Signals } from "../Signals.ts"
import { EventFeed } from "./EventFeed.ts"
import { eventReader } from "./EventReader.ts"
import { LiveRights } from "./LiveRights.ts"

const Changed = defineEvent({ id: "role.tested", payload: Schema.Struct({}) })

const city = EventFeed.layer.pipe(
  Layer.provideMerge(testKernel({ postgresUrl: inject("postgresUrl") })),
  Layer.provideMerge(Layer.succeed(CaseTypes, makeCaseTypes([]))),
  Layer.provideMerge(Layer.succeed(Policy, { roles: rolesOf(presetRoles, []) })),
  Layer.provideMerge(Layer.effect(Signals, makeSignals))
)

/** The feed, whose next look can be one that began before an event was committed. */
const holding = Effect.gen(function* () {
  const feed = yield* EventFeed
  const { order } = yield* Signals
  const { tenantId } = yield* createTenant()
  let looks = 0
  let begun: ReturnType<typeof feed.after> | undefined
  const after: typeof feed.after = (tenant, position) =>
    Effect.suspend(() => {
      const look = begun ?? feed.after(tenant, position)
      begun = undefined
      looks++
      return look
    })
  /** Whoever is woken by it finds the look that began before. */
  const happen = Effect.gen(function* () {
    const rows = yield* feed.after(tenantId, 0n)
    assert.strictEqual(rows.length, 0)
    begun = Effect.succeed(rows)
    yield* withTenant(tenantId)(appendEvent(Changed, {}))
    yield* withPlatform(sequence())
    yield* PubSub.publish(order, { tenantId, position: 1n })
  })
  const waiting = Effect.sleep(20).pipe(Effect.repeat({ until: () => looks > 0 }), Effect.andThen(Effect.sleep(50)))
  return { tenantId, happen, waiting, feed: EventFeed.of({ ...feed, after }), looks: () => looks }
})

layer(city, { excludeTestServices: true })("a look that began too early", (it) => {
  it.effect("keeps_no_event_from_a_reader_who_was_woken_for_it", () =>
    Effect.gen(function* () {
      const { feed, happen, looks, tenantId, waiting } = yield* holding
      const watcher = { current: Effect.succeed(system(tenantId)) }
      const { next } = yield* Effect.provideService(eventReader(tenantId, {}, undefined, watcher), EventFeed, feed)
      const heard = yield* Effect.forkChild(next)
      yield* waiting
      yield* happen
      const step = yield* Effect.timeout(Fiber.join(heard), "5 seconds")
      assert.deepStrictEqual(
        step.events.map(({ type }) => type),
        ["role.tested"]
      )
      assert.strictEqual(looks(), 3)
    }).pipe(Effect.scoped)
  )

  it.effect("keeps_no_right_that_was_taken_away", () =>
    Effect.gen(function* () {
      const { feed, happen, tenantId, waiting } = yield* holding
      const built = yield* Layer.build(Layer.provide(LiveRights.layer, Layer.succeed(EventFeed, feed)))
      const rights = Context.get(built, LiveRights)
      let asked = 0
      const who = system(tenantId)
      const ask = Effect.sync(() => (asked++, who))
      const { current } = yield* rights.reader(who, ask)
      yield* waiting
      yield* current
      assert.strictEqual(asked, 0)
      yield* happen
      yield* current.pipe(
        Effect.andThen(Effect.sleep(20)),
        Effect.repeat({ until: () => asked > 0 }),
        Effect.timeout("5 seconds")
      )
    }).pipe(Effect.scoped)
  )
})
