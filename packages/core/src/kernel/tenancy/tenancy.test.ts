import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { createPrincipal, createTenant as founded, testKernel } from "../../testing/kernel.ts"
import { TenantTx, withTenant } from "../db/Database.ts"
import { newId } from "../ids.ts"
import { Policy } from "../policy/Policy.ts"
import { presetRoles, rolesOf } from "../policy/presets.ts"
import { Actor, type Principal, system } from "../policy/Principal.ts"
import { listTenants, tenantBySlug, tenantOfRequest } from "./resolve.ts"
import { tenantSettings } from "./settings.ts"
import { createTenant, updateTenant } from "./tenants.ts"
import { addTerritory, listTerritories, pathOf, territoryAt } from "./territories.ts"

const roles = Layer.succeed(Policy, { roles: rolesOf(presetRoles, []) })
const test = testKernel({ postgresUrl: inject("postgresUrl") }).pipe(Layer.provideMerge(roles))

const settings = {
  timeZone: "Asia/Tashkent",
  languages: ["uz", "ru", "uz-Cyrl-UZ"],
  country: "UZ",
  currency: "UZS",
  calendar: { days: [1, 2, 3, 4, 5], from: "09:00", to: "18:00", holidays: ["2026-03-21"] },
  corsOrigins: ["https://app.example", "*"]
}
const box = (west: number, south: number, size: number) => ({
  type: "Polygon",
  coordinates: [
    [
      [west, south],
      [west + size, south],
      [west + size, south + size],
      [west, south + size],
      [west, south]
    ]
  ]
})
const at = (longitude: number, latitude: number) => ({ longitude, latitude })
const as =
  (actor: Principal) =>
  <A, E, R>(self: Effect.Effect<A, E, R>) =>
    withTenant(actor.tenantId)(Effect.provideService(self, Actor, actor))
const eventsOf = (tenantId: string) =>
  withTenant(tenantId)(
    Effect.flatMap(TenantTx, ({ sql }) => sql<{ type: string }>`select type from mahalla.event order by id`)
  )

layer(test, { excludeTestServices: true })("tenants", (it) => {
  it.effect("are_found_by_host_then_slug_then_because_there_is_only_one", () =>
    Effect.gen(function* () {
      const nobody = yield* Effect.flip(tenantOfRequest({ host: "localhost", slug: null }))
      assert.strictEqual(nobody._tag, "NotFound")
      const one = yield* createTenant({ slug: "one", name: "One", hosts: ["one.example"], settings })
      const find = (host: string, slug: string | null = null) =>
        tenantOfRequest({ host, slug }).pipe(
          Effect.map((tenant) => tenant.slug),
          Effect.catchTag("NotFound", () => Effect.succeed("not found"))
        )
      assert.strictEqual(yield* find("localhost"), "one")
      assert.strictEqual(yield* find("localhost", "two"), "not found")
      yield* createTenant({ slug: "two", name: "Two", settings })
      assert.strictEqual(yield* find("localhost"), "not found")
      assert.strictEqual(yield* find("one.example"), "one")
      assert.strictEqual(yield* find("one.example."), "one")
      assert.strictEqual(yield* find("one.example", "two"), "one")
      assert.strictEqual(yield* find("localhost", "two"), "two")
      yield* updateTenant(one.tenantId, { hosts: ["new.example"] })
      assert.deepStrictEqual([yield* find("new.example"), yield* find("one.example", "two")], ["one", "two"])
      assert.deepStrictEqual(
        (yield* listTenants).map((tenant) => tenant.slug),
        ["one", "two"]
      )
      assert.strictEqual((yield* tenantBySlug("two")).name, "Two")
      assert.strictEqual((yield* Effect.flip(tenantBySlug("three")))._tag, "NotFound")
      assert.deepStrictEqual(yield* tenantOfRequest({ host: "new.example", slug: null }), {
        ...one,
        hosts: ["new.example"]
      })
    })
  )

  it.effect("are_founded_with_an_event_and_changed_with_another", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant({ slug: "three", name: "Three", settings })
      yield* updateTenant(tenantId, { name: "Drei", settings: { ...settings, timeZone: "Europe/Berlin" } })
      assert.strictEqual((yield* withTenant(tenantId)(tenantSettings)).timeZone, "Europe/Berlin")
      assert.deepStrictEqual(yield* eventsOf(tenantId), [{ type: "tenant.created" }, { type: "tenant.updated" }])
      const unknown = yield* Effect.flip(updateTenant(yield* newId, { name: "?" }))
      assert.strictEqual(unknown._tag, "NotFound")
    })
  )

  const good = { slug: "bad", name: "Bad", settings }
  const cases: ReadonlyArray<readonly [string, unknown]> = [
    ["/slug", { ...good, slug: "Bad" }],
    ["/name", { ...good, name: "" }],
    ["/hosts/0", { ...good, hosts: ["a.example:8080"] }],
    ["/settings/timeZone", { ...good, settings: { ...settings, timeZone: "Mars/Olympus" } }],
    ["/settings/timeZone", { ...good, settings: { ...settings, timeZone: "+05:00" } }],
    ["/settings/languages", { ...good, settings: { ...settings, languages: [] } }],
    ["/settings/languages/0", { ...good, settings: { ...settings, languages: ["english"] } }],
    ["/settings/country", { ...good, settings: { ...settings, country: "Uzbekistan" } }],
    ["/settings/currency", { ...good, settings: { ...settings, currency: "sum" } }],
    ["/settings/calendar/days", { ...good, settings: { ...settings, calendar: { ...settings.calendar, days: [] } } }],
    ["/settings/calendar/to", { ...good, settings: { ...settings, calendar: { ...settings.calendar, to: "09:00" } } }],
    ["/settings/calendar/to", { ...good, settings: { ...settings, calendar: { ...settings.calendar, to: "24:30" } } }],
    [
      "/settings/calendar/holidays/0",
      { ...good, settings: { ...settings, calendar: { ...settings.calendar, holidays: ["2026-13-01"] } } }
    ],
    ["/settings/corsOrigins/0", { ...good, settings: { ...settings, corsOrigins: ["https://app.example/"] } }],
    ["/colour", { ...good, colour: "red" }]
  ]
  for (const [pointer, input] of cases) {
    it.effect(`are_refused_for_${pointer}_of_${JSON.stringify(input).length}`, () =>
      Effect.gen(function* () {
        const refused = yield* Effect.flip(createTenant(input as never))
        assert.strictEqual(refused._tag, "InvalidInput")
        if (refused._tag === "InvalidInput")
          assert.deepStrictEqual(
            refused.issues.map((entry) => entry.pointer),
            [pointer]
          )
      })
    )
  }

  it.effect("never_share_a_slug_or_a_host", () =>
    Effect.gen(function* () {
      yield* createTenant({ slug: "four", name: "Four", hosts: ["four.example"], settings })
      const other = yield* createTenant({ slug: "five", name: "Five", settings })
      const refusals = [
        yield* Effect.flip(createTenant({ slug: "four", name: "Again", settings })),
        yield* Effect.flip(createTenant({ slug: "six", name: "Six", hosts: ["x.example", "four.example"], settings })),
        yield* Effect.flip(updateTenant(other.tenantId, { hosts: ["four.example"] }))
      ]
      assert.deepStrictEqual(
        refusals.map((refused) => (refused._tag === "InvalidInput" ? refused.issues[0]?.pointer : refused._tag)),
        ["/slug", "/hosts/1", "/hosts/0"]
      )
      const racing = Array.from({ length: 5 }, (_, place) =>
        Effect.exit(createTenant({ slug: `race-${place}`, name: "Race", hosts: ["race.example"], settings }))
      )
      const exits = yield* Effect.all(racing, { concurrency: 5 })
      assert.lengthOf(
        exits.filter((exit) => exit._tag === "Success"),
        1
      )
    })
  )
})

layer(test, { excludeTestServices: true })("territories", (it) => {
  const tree = Effect.gen(function* () {
    const { tenantId } = yield* founded()
    const run = as(system(tenantId))
    const add = (input: unknown) => run(addTerritory(input))
    const city = yield* add({ kind: "city", name: { en: "City" }, boundary: box(60, 40, 10) })
    const east = yield* add({ kind: "district", name: { en: "East" }, parentId: city.id, boundary: box(65, 40, 5) })
    const mahalla = yield* add({ kind: "mahalla", name: { en: "Garden" }, parentId: east.id, boundary: box(66, 41, 1) })
    const desk = yield* add({ kind: "desk", name: { en: "Desk" }, parentId: east.id })
    return { tenantId, run, add, city, east, mahalla, desk }
  })

  it.effect("a_place_lies_in_the_deepest_one", () =>
    Effect.gen(function* () {
      const { city, east, mahalla, run } = yield* tree
      const find = (longitude: number, latitude: number) =>
        Effect.map(run(territoryAt(at(longitude, latitude))), (territory) => territory?.id ?? null)
      assert.strictEqual(yield* find(66.5, 41.5), mahalla.id)
      assert.strictEqual(yield* find(69, 41.5), east.id)
      assert.strictEqual(yield* find(61, 41), city.id)
      assert.strictEqual(yield* find(0, 0), null)
      assert.deepStrictEqual((yield* run(territoryAt(at(66.5, 41.5))))?.path, [mahalla.id, east.id, city.id])
    })
  )

  it.effect("a_new_one_is_seen_at_once_and_one_that_was_rolled_back_never", () =>
    Effect.gen(function* () {
      const { add, east, run } = yield* tree
      const find = Effect.map(run(territoryAt(at(69.5, 44.5))), (territory) => territory?.id)
      assert.strictEqual(yield* find, east.id)
      const input = { kind: "mahalla", name: { en: "New" }, parentId: east.id, boundary: box(69, 44, 1) }
      yield* Effect.ignore(
        run(Effect.andThen(addTerritory(input), Effect.andThen(territoryAt(at(69.5, 44.5)), Effect.fail("no"))))
      )
      assert.strictEqual(yield* find, east.id)
      const { id } = yield* add(input)
      assert.strictEqual(yield* find, id)
    })
  )

  it.effect("know_their_ancestors_and_stand_in_order", () =>
    Effect.gen(function* () {
      const { city, desk, east, mahalla, run } = yield* tree
      assert.deepStrictEqual(yield* run(pathOf(desk.id)), [desk.id, east.id, city.id])
      assert.deepStrictEqual(
        (yield* run(listTerritories())).map((territory) => territory.id),
        [city.id, east.id, mahalla.id, desk.id]
      )
      assert.strictEqual((yield* Effect.flip(run(pathOf(yield* newId))))._tag, "NotFound")
    })
  )

  it.effect("belong_to_one_tenant", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* tree, yield* tree]
      assert.strictEqual((yield* other.run(territoryAt(at(66.5, 41.5))))?.id, other.mahalla.id)
      const refused = yield* Effect.flip(other.add({ kind: "mahalla", name: { en: "Stolen" }, parentId: one.city.id }))
      assert.strictEqual(refused._tag, "NotFound")
    })
  )

  it.effect("are_added_by_who_may_below_their_parent", () =>
    Effect.gen(function* () {
      const { city, east, tenantId } = yield* tree
      const clerk = yield* createPrincipal(tenantId, { kind: "staff" })
      const admin = (territoryId: string): Principal => ({
        ...clerk,
        grants: [{ role: "municipality-admin", territoryId, until: null }]
      })
      const input = (parentId: string) => ({ kind: "mahalla", name: { en: "New" }, parentId })
      assert.strictEqual((yield* Effect.flip(as(clerk)(addTerritory(input(east.id)))))._tag, "Forbidden")
      assert.strictEqual((yield* Effect.flip(as(admin(east.id))(addTerritory(input(city.id)))))._tag, "Forbidden")
      yield* as(admin(east.id))(addTerritory(input(east.id)))
      assert.lengthOf(yield* eventsOf(tenantId), 5)
    })
  )

  it.effect("are_refused_with_a_pointer", () =>
    Effect.gen(function* () {
      const { add } = yield* tree
      const refused = yield* Effect.flip(
        add({ kind: "Mahalla!", name: { en: "" }, boundary: { type: "Polygon", coordinates: [[]] } })
      )
      assert.strictEqual(refused._tag, "InvalidInput")
      if (refused._tag === "InvalidInput")
        assert.includeMembers(
          refused.issues.map((entry) => entry.pointer),
          ["/kind", "/name/en", "/boundary/coordinates/0"]
        )
    })
  )
})
