import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { inject } from "vitest"
import { PlatformTx, withPlatform } from "../../kernel/db/Database.ts"
import { as, outcome } from "../../test/caseRooms.ts"
import { atNoon, choices, Lines, newsCity, newsRoom, noon } from "../../test/newsRoom.ts"
import { keepAddress, removeAddress } from "./addresses.ts"
import { putPreferences } from "./preferences.ts"
import { putRule, removeRule } from "./rules.ts"
import { applyReceipt } from "./settle.ts"
import { putTemplate, removeTemplate } from "./templates.ts"

const said = (messages: ReadonlyArray<{ readonly channel: string; readonly text: string; readonly state: string }>) =>
  messages.map(({ channel, state, text }) => `${channel} ${state}: ${text}`)

layer(newsRoom(inject("postgresUrl")), { excludeTestServices: true })("what happens to a case", (it) => {
  it.effect("is_told_to_its_owner_in_their_language_by_the_rules_that_are_built_in", () =>
    atNoon(
      Effect.gen(function* () {
        const city = yield* newsCity()
        const owner = yield* city.person({ language: "uz-Cyrl" })
        const staff = yield* city.person({ roles: ["inspector"] })
        const report = yield* city.report(owner)
        yield* city.step(staff, report.id, "start")
        yield* city.hear
        assert.deepStrictEqual(said(yield* city.messages), [
          "sms queued: Pothole A1: қабул қилинди.",
          "sms queued: Pothole A1 ҳолати: In work."
        ])
        yield* city.workOff
        assert.deepStrictEqual(
          (yield* city.messages).map(({ state }) => state),
          ["accepted", "accepted"]
        )
        const { sms } = yield* Lines
        assert.lengthOf(yield* sms.control.delivered(owner.phone), 2)
      })
    )
  )

  it.effect("is_told_by_the_citys_own_rules_and_words", () =>
    atNoon(
      Effect.gen(function* () {
        const city = yield* newsCity()
        const [owner, admin] = [yield* city.person(), yield* city.person({ roles: ["municipality-admin"] })]
        const inspector = yield* city.person({ roles: ["inspector"] })
        const set = as(admin)
        yield* set(putTemplate("started", "any", { en: { text: "{city}: work on {reference} begins." } }))
        yield* set(
          putTemplate("started", "sms", { ru: { text: "{reference}: начали." }, en: { text: "{reference} begins." } })
        )
        const rule = {
          on: "changed",
          to: [{ role: "inspector" }, "owner"],
          template: "started",
          category: "works"
        } as const
        yield* set(putRule("begun", { ...rule, states: ["working"], urgency: "urgent" }))
        yield* set(
          putRule("case-created", {
            on: "created",
            to: ["owner"],
            template: "case-created",
            urgency: "normal",
            category: "cases",
            enabled: false
          })
        )
        const report = yield* city.report(owner)
        yield* city.step(admin, report.id, "start")
        yield* city.hear
        const messages = yield* city.messages
        assert.deepStrictEqual(said(messages), ["sms queued: A1 begins.", "sms queued: A1 begins."])
        assert.sameMembers(
          messages.map(({ who }) => who),
          [owner.id, inspector.id]
        )
        // The built-in ones hold again.
        yield* set(removeRule("begun"))
        yield* set(removeRule("case-created"))
        yield* set(removeTemplate("started", "sms"))
        yield* city.step(admin, report.id, "fix")
        yield* city.hear
        assert.deepStrictEqual(said((yield* city.messages).slice(2)), ["sms queued: Pothole A1 is now: Fixed."])
        const audit = yield* city.rows<{ type: string }>(
          ({ sql }) => sql`select type from mahalla.event where type like 'notification-%' order by id`
        )
        assert.lengthOf(audit, 7)
      })
    )
  )

  it.effect("is_told_once_however_many_rules_meet_and_however_often_it_is_heard", () =>
    atNoon(
      Effect.gen(function* () {
        const city = yield* newsCity()
        const [owner, admin] = [yield* city.person(), yield* city.person({ roles: ["municipality-admin"] })]
        const second = {
          on: "created",
          to: ["owner"],
          template: "case-created",
          urgency: "urgent",
          category: "works"
        } as const
        yield* as(admin)(putRule("second", second))
        yield* city.report(owner)
        yield* city.hear
        yield* withPlatform(
          Effect.flatMap(
            PlatformTx,
            ({ sql }) => sql`update mahalla.event_cursor set position = 0 where tenant_id = ${city.tenantId}`
          )
        )
        yield* city.hear
        assert.lengthOf(yield* city.messages, 1)
      })
    )
  )

  it.effect("is_not_told_by_what_makes_no_sense", () =>
    atNoon(
      Effect.gen(function* () {
        const city = yield* newsCity()
        const admin = yield* city.person({ roles: ["municipality-admin"] })
        const citizen = yield* city.person()
        const good = {
          on: "changed",
          to: ["owner"],
          template: "case-changed",
          urgency: "digest",
          category: "cases"
        } as const
        const issues = (given: Parameters<typeof putRule>[1]) =>
          Effect.map(Effect.flip(as(admin)(putRule("new", given))), (error) =>
            (error as { issues: ReadonlyArray<{ pointer: string }> }).issues.map(({ pointer }) => pointer)
          )
        assert.deepStrictEqual(yield* issues({ ...good, on: "nothing.known" }), ["/on"])
        assert.deepStrictEqual(yield* issues({ ...good, to: ["named"] }), ["/to"])
        assert.deepStrictEqual(yield* issues({ ...good, caseTypes: ["pothole", "hole"] }), ["/caseTypes/1"])
        assert.deepStrictEqual(yield* issues({ ...good, states: ["gone"] }), ["/states/0"])
        assert.deepStrictEqual(yield* issues({ ...good, template: "unwritten" }), ["/template"])
        assert.deepStrictEqual(yield* issues({ ...good, territoryId: owner }), ["/territoryId"])
        assert.strictEqual(yield* outcome(as(citizen)(putRule("new", good))), "Forbidden")
        assert.strictEqual(yield* outcome(as(citizen)(putTemplate("new", "any", { en: { text: "x" } }))), "Forbidden")
        assert.strictEqual(yield* outcome(as(admin)(putRule("case-changed", good, 7))), "VersionConflict")
        const stored = yield* as(admin)(putRule("case-changed", good, 0))
        assert.strictEqual(stored.version, 1)
        assert.strictEqual(yield* outcome(as(admin)(putRule("case-changed", good, 0))), "VersionConflict")
        const wrong = yield* Effect.flip(
          as(admin)(putTemplate("case-changed", "email", { en: { text: "{nmae}", subject: "a\nb", html: "<script>" } }))
        )
        assert.deepStrictEqual(
          (wrong as unknown as { issues: ReadonlyArray<{ pointer: string }> }).issues.map(({ pointer }) => pointer),
          ["/texts/en/text", "/texts/en/subject", "/texts/en/html"]
        )
        assert.strictEqual(yield* outcome(as(admin)(putTemplate("own", "any", { ka: { text: "x" } }))), "InvalidInput")
      })
    )
  )
})

const owner = "01a1fb96-0a6f-7324-b14e-40eab5e1b1ff"

layer(newsRoom(inject("postgresUrl")), { excludeTestServices: true })("a person's choices", (it) => {
  const start = (settings: Parameters<typeof newsCity>[0] = {}) =>
    Effect.gen(function* () {
      const city = yield* newsCity(settings)
      const person = yield* city.person()
      const admin = yield* city.person({ roles: ["municipality-admin"] })
      return {
        ...{ ...city, admin, me: person },
        choose: (given: Partial<Parameters<typeof putPreferences>[1]>) =>
          city.inside(putPreferences(person.id, { ...choices, ...given })),
        address: (kind: "email" | "push", address: string) =>
          city.inside(keepAddress({ personId: person.id, kind, channel: null, address, verified: true }))
      }
    })

  it.effect("say_on_which_channels_of_a_category_and_on_none", () =>
    atNoon(
      Effect.gen(function* () {
        const { address, choose, hear, me, messages, report } = yield* start()
        yield* address("email", "me@example.org")
        yield* choose({ categories: { cases: { channels: ["telegram", "email", "sms"] } } })
        yield* report(me)
        yield* hear
        yield* choose({ categories: { cases: { channels: [] } } })
        yield* report(me)
        yield* hear
        yield* choose({ categories: { other: { channels: [] } } })
        yield* report(me)
        yield* hear
        assert.deepStrictEqual(
          (yield* messages).map(({ channel }) => channel),
          ["email", "sms"]
        )
      })
    )
  )

  it.effect("hold_for_what_is_on_its_way_too", () =>
    atNoon(
      Effect.gen(function* () {
        const { choose, hear, me, messages, report, workOff } = yield* start()
        yield* report(me)
        yield* hear
        yield* choose({ categories: { cases: { channels: [] } } })
        yield* workOff
        assert.deepStrictEqual(
          (yield* messages).map(({ state }) => state),
          ["suppressed"]
        )
      })
    )
  )

  it.effect("let_nobody_be_called_at_night_except_for_what_is_urgent", () =>
    atNoon(
      Effect.gen(function* () {
        const { admin, choose, hear, me, messages, report, step, workOff } = yield* start({
          notifications: { quietHours: { from: "22:00", until: "08:00" } }
        })
        const alarm = {
          on: "changed",
          to: ["owner"],
          template: "case-changed",
          urgency: "urgent",
          category: "alerts"
        } as const
        yield* as(admin)(putRule("alarm", alarm))
        yield* TestClock.setTime(noon + 12 * 3_600_000)
        const made = yield* report(me)
        yield* step(admin, made.id, "start")
        yield* hear
        yield* workOff
        const states = Effect.map(messages, (all) => all.map(({ state }) => state))
        assert.deepStrictEqual(yield* states, ["queued", "accepted"])
        yield* TestClock.setTime(noon + 20 * 3_600_000 + 3_599_000)
        yield* workOff
        assert.deepStrictEqual(yield* states, ["queued", "accepted"])
        yield* TestClock.setTime(noon + 21 * 3_600_000)
        yield* workOff
        assert.deepStrictEqual(yield* states, ["accepted", "accepted"])
        // Own hours in the place of the city's, and none at all.
        yield* choose({ quiet: "own", quietFrom: "12:00", quietUntil: "13:00" })
        yield* TestClock.setTime(noon + 36 * 3_600_000)
        yield* report(me)
        yield* hear
        yield* workOff
        assert.deepStrictEqual((yield* states).slice(2), ["accepted"])
        yield* TestClock.setTime(noon + 49.5 * 3_600_000)
        yield* report(me)
        yield* hear
        yield* workOff
        assert.deepStrictEqual((yield* states).slice(3), ["queued"])
        yield* choose({ quiet: "none" })
        yield* report(me)
        yield* hear
        yield* workOff
        assert.deepStrictEqual((yield* states).slice(4), ["accepted"])
      })
    )
  )

  it.effect("are_above_no_limit_of_a_day_and_its_money", () =>
    atNoon(
      Effect.gen(function* () {
        const { hear, me, messages, report, rows, tenantId, workOff } = yield* start({
          notifications: { perDay: 2, budgetPerDay: 100 }
        })
        for (let place = 0; place < 3; place++) yield* report(me)
        yield* hear
        yield* workOff
        const states = Effect.map(messages, (all) =>
          all.map(({ state }) => state).toSorted((a, b) => a.localeCompare(b))
        )
        assert.deepStrictEqual(yield* states, ["accepted", "accepted", "suppressed"])
        yield* rows(
          ({ sql }) => sql`
            insert into mahalla.message_total (tenant_id, day, channel, category, currency, shard, cost)
            values (${tenantId}, '2026-03-21', 'sms', 'cases', 'UZS', 0, 100) returning 1 as one`
        )
        yield* TestClock.setTime(noon + 24 * 3_600_000)
        yield* report(me)
        yield* hear
        yield* workOff
        const last = Effect.map(messages, (all) => all.at(-1)!)
        assert.deepInclude(yield* last, { state: "queued", detail: "What messages may cost in a day is spent." })
        yield* TestClock.setTime(Date.UTC(2026, 2, 21, 19))
        yield* workOff
        assert.deepInclude(yield* last, { state: "accepted" })
      })
    )
  )

  it.effect("put_one_channel_after_the_other_where_a_rule_says_so", () =>
    atNoon(
      Effect.gen(function* () {
        const { address, admin, hear, me, messages, report, workOff } = yield* start()
        const lines = yield* Lines
        yield* address("push", "a-phone-of-theirs")
        const rule = {
          on: "created",
          to: ["owner"],
          template: "case-created",
          urgency: "normal",
          category: "cases"
        } as const
        yield* as(admin)(putRule("case-created", { ...rule, channels: ["push", "sms"], mode: "fallback", wait: 5 }))
        const states = Effect.map(messages, (all) => all.map(({ channel, state }) => `${channel} ${state}`))
        // Delivered in time.
        yield* report(me)
        yield* hear
        assert.deepStrictEqual(yield* states, ["push queued", "sms waiting"])
        yield* workOff
        assert.deepStrictEqual(yield* states, ["push accepted", "sms waiting"])
        yield* applyReceipt({ id: (yield* messages)[0]!.id, state: "delivered", at: noon })
        assert.deepStrictEqual(yield* states, ["push delivered", "sms skipped"])
        yield* TestClock.setTime(noon + 600_000)
        yield* workOff
        assert.deepStrictEqual(yield* states, ["push delivered", "sms skipped"])
        // Not delivered in time.
        yield* report(me)
        yield* hear
        yield* workOff
        yield* TestClock.setTime(noon + 600_000 + 299_000)
        yield* workOff
        assert.deepStrictEqual((yield* states).slice(2), ["push accepted", "sms waiting"])
        yield* TestClock.setTime(noon + 600_000 + 301_000)
        yield* workOff
        assert.deepStrictEqual((yield* states).slice(2), ["push accepted", "sms accepted"])
        // Refused: at once.
        yield* lines.push.control.next("refused")
        yield* report(me)
        yield* hear
        yield* workOff
        assert.deepStrictEqual((yield* states).slice(4), ["push refused", "sms accepted"])
      })
    )
  )

  it.effect("bring_a_message_to_all_channels_where_a_rule_says_so_and_to_each_device", () =>
    atNoon(
      Effect.gen(function* () {
        const { address, admin, hear, inside, me, messages, report } = yield* start()
        const [phone, laptop] = [yield* address("push", "a phone"), yield* address("push", "a laptop")]
        assert.strictEqual(yield* address("push", "a phone"), phone)
        const rule = {
          on: "created",
          to: ["owner"],
          template: "case-created",
          urgency: "normal",
          category: "cases"
        } as const
        yield* as(admin)(putRule("case-created", { ...rule, channels: ["push", "email", "sms"], mode: "all" }))
        yield* report(me)
        yield* hear
        const channels = Effect.map(messages, (all) => all.map(({ channel }) => channel))
        assert.deepStrictEqual(yield* channels, ["push", "push", "sms"])
        yield* inside(removeAddress(me.id, "push", laptop))
        yield* report(me)
        yield* hear
        assert.deepStrictEqual((yield* channels).slice(3), ["push", "sms"])
      })
    )
  )
})
