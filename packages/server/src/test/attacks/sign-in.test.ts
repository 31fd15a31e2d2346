/** Attacks on signing in by phone, over HTTP and as many at once as an attacker would send. */
import { randomBytes, randomInt } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type Client, makeClient } from "../client.ts"
import { type CityKit, openCityKit } from "../cityKit.ts"
import { expectProblem } from "../problem.ts"
import { timed, toldApart } from "./timing.ts"

let kit: CityKit
/** Two more cities, with budgets that few requests use up. */
const small = { khiva: { perPrefix: 10 }, nukus: { price: 100, moneyPerDay: 1_000 } }
const tenants = { khiva: "", nukus: "" }
beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  const [tenant] = await kit.city.admin.tenants.list()
  for (const slug of ["khiva", "nukus"] as const) {
    const settings = { ...tenant!.settings, codes: small[slug] }
    tenants[slug] = (await kit.city.admin.tenants.create({ slug, name: slug, settings })).tenantId
  }
})
afterAll(() => kit?.close())

const anywhere = (base = kit.samarkand.visitor.base) => makeClient(base)
const ask = (phone: string, more: object = {}, client: Client = anywhere()) =>
  client.post("/v1/auth/code", { phone, ...more })
const enter = (phone: string, code: string, more: object = {}, client: Client = anywhere()) =>
  client.post("/v1/auth/session", { phone, code, ...more })
const numbers = (prefix: string, amount: number) =>
  Array.from({ length: amount }, (_, n) => prefix + String(n).padStart(13 - prefix.length, "0"))
const wrong = (code: string) => String((Number(code) + 1 + randomInt(999_998)) % 1_000_000).padStart(6, "0")

/** Every message that went out, as it lies on the disk. */
const sent = () =>
  readFileSync(join(kit.home, "plugins/mahalla-outbox-messenger/outbox-000001.ndjson"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { to: string; text: string; class: string; tenantId: string })
const codeOf = (phone: string) =>
  /\b\d{6}\b/.exec(sent().findLast((message) => message.to === phone && message.class === "code")!.text)![0]

/** As when nobody had asked for a day: pauses and budgets are whole again. */
const later = async () => {
  await kit.sql("update mahalla.sign_in_code set sent_at = sent_at - interval '2 days'")
  await kit.sql("delete from mahalla.rate_limit where key like 'code:%' or key like 'try:%' or key like 'erase:%'")
}
const freshCode = async (phone: string, more: object = {}) => {
  await later()
  expect((await ask(phone, more)).status).toBe(202)
  return codeOf(phone)
}

const inTurns = async <A>(of: ReadonlyArray<A>, atOnce: number, each: (one: A) => Promise<void>) => {
  const waiting = [...of]
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) await each(one)
    })
  )
}

describe("case 13", () => {
  test("case_13_of_many_guesses_at_once_from_as_many_addresses_five_are_looked_at", async () => {
    const phone = "+998931300001"
    expect((await ask(phone)).status).toBe(202)
    const code = codeOf(phone)
    const device = () => `mdv_${randomBytes(32).toString("base64url")}`
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, n) => enter(phone, wrong(code), n % 2 === 0 ? {} : { device: device() }))
    )
    expect(new Set(answers.map(({ body, status }) => `${status} ${body.detail}`)).size).toBe(1)
    const row = async () =>
      kit.sql<{ tries: number }>(
        "select tries from mahalla.sign_in_code where tenant_id = $1 and expires_at > now() and tries > 0",
        [kit.samarkand.id]
      )
    expect(await row()).toEqual([{ tries: 5 }])
    // The right one comes too late, and is not looked at either.
    expectProblem("the right one", await enter(phone, code), { status: 401, type: "sign-in-refused" })
    expect(await row()).toEqual([{ tries: 5 }])
    expect((await enter(phone, await freshCode(phone))).status).toBe(200)
  })
})

describe("case 14", () => {
  test("case_14_a_code_is_of_one_phone_city_purpose_and_time", async () => {
    const phone = "+998931400001"
    const citizen = await kit.samarkand.citizen(phone)
    const deleting = (code: string) => citizen.call("DELETE", "/v1/me", { headers: { "confirmation-code": code } })
    const forDeleting = { purpose: "delete-account" }
    const rows: ReadonlyArray<readonly [string, object, (code: string) => Promise<{ status: number }>]> = [
      ["another phone", {}, (code) => enter("+998931400002", code)],
      ["another city", {}, (code) => enter(phone, code, {}, anywhere(kit.bukhara.visitor.base))],
      ["a sign-in's to delete an account", {}, deleting],
      ["a deletion's to sign in", forDeleting, (code) => enter(phone, code)],
      ["as a second factor", {}, (code) => citizen.post("/v1/auth/second-factor", { code })],
      [
        "an older one",
        {},
        async (code) => {
          await freshCode(phone)
          return enter(phone, code)
        }
      ],
      [
        "a used one",
        {},
        async (code) => {
          expect((await enter(phone, code)).status).toBe(200)
          return enter(phone, code)
        }
      ]
    ]
    for (const [name, more, use] of rows) {
      const { status } = await use(await freshCode(phone, more))
      expect([name, status]).toEqual([name, 401])
    }
    expect(sent().findLast(({ to }) => to === phone)?.text).not.toContain("DELETE")
    expect((await citizen.get("/v1/me")).status).toBe(200)
    // For what it was asked, it is good.
    const code = await freshCode(phone, forDeleting)
    expect((await deleting(code)).status).toBe(202)
  })
})

describe("case 15", () => {
  const messages = (tenantId: string) => sent().filter((message) => message.tenantId === tenantId).length

  test("case_15_numbers_of_one_prefix_from_as_many_addresses_get_the_prefixs_share_of_messages", async () => {
    const statuses: Array<number> = []
    await inTurns(numbers("+99893150", 200), 16, async (phone) => {
      statuses.push((await ask(phone, {}, anywhere(`${kit.url}/t/khiva`))).status)
    })
    expect([messages(tenants.khiva), statuses.filter((status) => status === 202).length]).toEqual([10, 10])
    expect(statuses.filter((status) => status === 429)).toHaveLength(190)
    // Whoever has another prefix is not in their way.
    expect((await ask("+998931600001", {}, anywhere(`${kit.url}/t/khiva`))).status).toBe(202)
  })

  test("case_15_the_days_money_is_the_last_wall_whatever_numbers_and_addresses", async () => {
    const phones = Array.from({ length: 40 }, (_, n) => `+9989117${String(n).padStart(2, "0")}0001`)
    const statuses: Array<number> = []
    await inTurns(phones, 16, async (phone) => {
      statuses.push((await ask(phone, {}, anywhere(`${kit.url}/t/nukus`))).status)
    })
    expect([messages(tenants.nukus), statuses.filter((status) => status === 202).length]).toEqual([10, 10])
    const [spent] = await kit.sql<{ spent: string }>("select spent from mahalla.code_spend where tenant_id = $1", [
      tenants.nukus
    ])
    expect(Number(spent!.spent)).toBe(1_000)
  })
})

describe("case 16", () => {
  /** People of many prefixes, so that no budget of one speaks. */
  const spread = (digit: number) =>
    Array.from({ length: 12 }, (_, n) => `+9989${digit}16${String(n).padStart(2, "0")}0007`)
  const seen = (answer: { status: number; headers: Headers; body: Record<string, unknown> }) =>
    JSON.stringify([
      answer.status,
      [...answer.headers.keys()].toSorted(),
      answer.headers.get("content-length"),
      { ...answer.body, requestId: "" }
    ])

  test("case_16_known_and_unknown_numbers_get_one_answer_and_take_as_long", async () => {
    const [known, unknown] = [spread(3), spread(4)]
    await inTurns(known, 8, async (phone) => {
      await ask(phone)
      expect((await enter(phone, codeOf(phone))).status).toBe(200)
    })
    const [asked, entered] = [
      { known: [] as Array<number>, unknown: [] as Array<number> },
      { known: [] as Array<number>, unknown: [] as Array<number> }
    ]
    const answers = { asked: new Set<string>(), entered: new Set<string>() }
    const each = async (sort: "known" | "unknown", phone: string) => {
      asked[sort].push(await timed(async () => answers.asked.add(seen(await ask(phone)))))
      entered[sort].push(await timed(async () => answers.entered.add(seen(await enter(phone, "000000")))))
    }
    for (let round = 0; round < 2; round++) {
      await later()
      for (const [n, phone] of known.entries()) {
        // In turns, and neither always first: whatever else the machine does, it does to both.
        const pair = [["known", phone] as const, ["unknown", unknown[n]!] as const]
        for (const [sort, one] of n % 2 === 0 ? pair : pair.toReversed()) await each(sort, one)
      }
    }
    expect([answers.asked.size, answers.entered.size]).toEqual([1, 1])
    expect([toldApart(asked.known, asked.unknown), asked]).toEqual([false, asked])
    expect([toldApart(entered.known, entered.unknown), entered]).toEqual([false, entered])
    // The measure would see a hash of 25 ms that is left out, also where something else takes some time now and then.
    const like = (base: number) => Array.from({ length: 24 }, (_, n) => base + (n % 7) + (n % 9 === 0 ? 60 : 0))
    expect([toldApart(like(45), like(20)), toldApart(like(45), like(46))]).toEqual([true, false])
  })
})

describe("case 18", () => {
  test("case_18_whoever_uses_up_every_budget_around_a_number_locks_its_owner_out_of_no_known_device", async () => {
    const phone = "+998931800001"
    const here = `${kit.url}/t/khiva`
    const own = anywhere(here)
    await ask(phone, {}, own)
    const { body: session } = await enter(phone, codeOf(phone), {}, own)
    // The number's own budgets, its tries, the prefix, and the watch on the prefix.
    for (let n = 0; n < 12; n++) await ask(phone, {}, anywhere(here))
    for (let n = 0; n < 6; n++) await enter(phone, "000000", {}, anywhere(here))
    await inTurns(numbers("+99893180", 14).slice(2), 6, async (other) => void (await ask(other, {}, anywhere(here))))
    await kit.sql(
      "insert into mahalla.code_pause (tenant_id, prefix, until) values ($1, $2, now() + interval '1 hour')",
      [tenants.khiva, phone.slice(0, -4)]
    )
    expectProblem("without the device", await ask(phone, {}, own), { status: 429, type: "too-many-requests" })
    const { device } = session
    expect((await ask(phone, { device }, own)).status).toBe(202)
    const again = await enter(phone, codeOf(phone), { device }, own)
    expect(again.status).toBe(200)
    // What was signed in before has noticed nothing.
    const { accessToken, refreshToken } = session
    expect((await own.with({ authorization: `Bearer ${accessToken}` }).get("/v1/me")).status).toBe(200)
    expect((await own.post("/v1/auth/refresh", { refreshToken })).status).toBe(200)
    // The way past has an end of its own, and a stranger's device is no way past.
    const theirs = `mdv_${randomBytes(32).toString("base64url")}`
    expect((await ask(phone, { device: theirs }, anywhere(here))).status).toBe(429)
    await kit.sql("update mahalla.sign_in_code set sent_at = sent_at - interval '2 days'")
    const more: Array<number> = []
    for (let n = 0; n < 6; n++) {
      more.push((await ask(phone, { device }, anywhere(here))).status)
      await kit.sql("update mahalla.sign_in_code set sent_at = sent_at - interval '2 days'")
    }
    expect(more.filter((status) => status === 202)).toHaveLength(4)
  })
})
