import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { assert, layer } from "@effect/vitest"
import * as TestClock from "effect/testing/TestClock"
import { inject } from "vitest"
import { timelineOf } from "../../kernel/cases/timeline.ts"
import { PlatformTx, withPlatform } from "../../kernel/db/Database.ts"
import { catchUp } from "../../kernel/events/Consumer.ts"
import { sequence } from "../../kernel/events/sequencer.ts"
import type { JobInfo } from "../../kernel/jobs/Job.ts"
import { Messengers } from "../../kernel/ports.ts"
import { Messenger } from "../../ports/Messenger.ts"
import { as } from "../../test/caseRooms.ts"
import { controlRooms, friday, lowPressure, onFriday, watchedCity } from "../../test/controlRooms.ts"
import { memoryMessenger } from "../../testing/Messenger.memory.ts"
import { notifications } from "../notifications/index.ts"
import { climbLadders } from "./climb.ts"
import { alertType } from "./cases.ts"
import { createLadder } from "./ladders.ts"
import { clearAlert, raiseAlert, updateAlert } from "./raise.ts"
import { createRota } from "./rotas.ts"

const { consumers, jobs, migrations } = notifications({ caseTypes: [alertType] })
const channels = Layer.effect(
  Messengers,
  Effect.map(Messenger, (messenger) => new Map([["outbox", messenger]]))
).pipe(Layer.provideMerge(memoryMessenger()))

/** At once the engineers' rota, after 10 minutes the operators, after 30 the chief; once more after an hour. */
const start = Effect.gen(function* () {
  const city = yield* watchedCity
  const { inside, operator, rows, staff, tenantId } = city
  const manager = yield* staff("municipality-admin")
  const engineer = yield* staff("inspector")
  const chief = yield* staff("inspector")
  const names = new Map([
    [engineer.id, "engineer"],
    [operator.id, "operator"],
    [chief.id, "chief"]
  ])
  for (const [place, id] of [...names.keys()].entries())
    yield* withPlatform(
      Effect.flatMap(
        PlatformTx,
        ({ sql }) => sql`update mahalla.principal set phone = ${`+99890000000${place}`} where id = ${id}`
      )
    )
  const shift = { layer: 0, days: [1, 2, 3, 4, 5, 6, 7], from: "00:00", to: "00:00", personId: engineer.id! }
  const rota = yield* as(manager)(createRota({ name: "Engineers", shifts: [shift] }))
  const steps = [
    { after: 0, rotaId: rota.id },
    { after: 10, role: "control-room-operator" },
    { after: 30, personId: chief.id! }
  ]
  const ladder = { name: "Serious", severities: ["major"], steps, repeat: { every: 60, times: 1 } } as const
  yield* as(manager)(createLadder(ladder))
  const deliver = Effect.andThen(withPlatform(sequence()), catchUp(consumers[0]!))
  /** Who was told what since the last time, in the order of the telling. */
  let told = 0
  const news = Effect.gen(function* () {
    yield* deliver
    const messages = yield* rows<{ id: string; who: string; text: string }>(
      ({ sql }) => sql`
        select m.id, principal_id as who, replace(text, c.reference, 'A1') as text from mahalla.message m
        join mahalla.civic_case c on c.tenant_id = m.tenant_id and c.id = m.case_id order by m.id`
    )
    const fresh = messages.slice(told).map(({ text, who }) => `${names.get(who)}: ${text}`)
    told = messages.length
    return fresh
  })
  return {
    ...{ ...city, manager, ladder, deliver, news },
    raised: Effect.map(inside(raiseAlert(lowPressure)), ({ caseId }) => caseId!),
    pass: (minutes: number) => Effect.andThen(TestClock.adjust(`${minutes} minutes`), climbLadders),
    /** As if the last two events had not been handled. */
    forget: withPlatform(
      Effect.flatMap(
        PlatformTx,
        ({ sql }) => sql`update mahalla.event_cursor set position = position - 2 where tenant_id = ${tenantId}`
      )
    )
  }
})

const created = "Alert A1: received."
const waiting = `Alert A1: nobody has acknowledged it yet. ${lowPressure.summary}`

layer(controlRooms(inject("postgresUrl"), migrations).pipe(Layer.provideMerge(channels)), {
  excludeTestServices: true
})("a step of a ladder", (it) => {
  it.effect("sends_a_message_to_those_it_names_and_to_nobody_twice", () =>
    onFriday(
      Effect.gen(function* () {
        const { deliver, forget, news, operator, pass, raised, rows, tenantId } = yield* start
        const id = yield* raised
        assert.deepStrictEqual(yield* news, [`engineer: ${created}`])
        yield* pass(10)
        assert.deepStrictEqual(yield* news, [`operator: ${waiting}`])
        yield* pass(20)
        assert.deepStrictEqual(yield* news, [`chief: ${waiting}`])
        yield* forget
        yield* Effect.all([deliver, deliver, climbLadders], { concurrency: 3 })
        assert.deepStrictEqual(yield* news, [])
        yield* pass(30)
        yield* pass(10)
        assert.deepStrictEqual(yield* news, [`engineer: ${waiting}`, `operator: ${waiting}`])

        const [message] = yield* rows<{ id: string }>(
          ({ sql }) => sql`select id from mahalla.message order by id offset 1`
        )
        yield* jobs[0]!.run({ messageId: message!.id }, { id: message!.id, tenantId } as JobInfo)
        const sent = yield* Effect.flatMap(Messenger, (messenger) => messenger.outbox!({ tenantId }))
        assert.deepStrictEqual(
          sent.map(({ to }) => to),
          ["+998900000001"]
        )
        const { items } = yield* as(operator)(timelineOf(id))
        assert.deepStrictEqual(
          items.map(({ title }) => title),
          ["Received", ...Array.from({ length: 5 }, () => "Called the next step of the ladder")]
        )
        assert.deepInclude(items[2]!.data, { round: 1, step: 2, hearers: [operator.id] })
      })
    )
  )

  it.effect("sends_nothing_after_an_acknowledgement_even_where_the_word_of_it_comes_late", () =>
    onFriday(
      Effect.gen(function* () {
        const { news, pass, raised, take } = yield* start
        const id = yield* raised
        yield* news
        yield* pass(10)
        assert.strictEqual(yield* take("acknowledge", id), "ok")
        assert.deepStrictEqual(yield* news, [])
        yield* pass(600)
        assert.deepStrictEqual(yield* news, [])
      })
    )
  )

  it.effect("sends_nothing_once_the_condition_is_gone", () =>
    onFriday(
      Effect.gen(function* () {
        const { inside, news, pass, raised } = yield* start
        yield* raised
        yield* news
        yield* pass(10)
        yield* inside(clearAlert({ key: lowPressure.key, episode: "1", at: friday }))
        assert.deepStrictEqual(yield* news, [])
      })
    )
  )

  it.effect("is_told_at_once_where_an_alert_becomes_worse", () =>
    onFriday(
      Effect.gen(function* () {
        const { inside, news } = yield* start
        yield* inside(raiseAlert({ ...lowPressure, severity: "minor" }))
        // The city has no ladder for that: whoever may acknowledge it hears of it.
        assert.deepStrictEqual(yield* news, [`operator: ${created}`])
        yield* inside(updateAlert({ key: lowPressure.key, episode: "1", at: friday, severity: "major" }))
        assert.deepStrictEqual(yield* news, [`engineer: ${waiting}`])
      })
    )
  )
})
