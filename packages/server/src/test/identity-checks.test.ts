/** Being confirmed by a register, which is a process of its own that is killed, loses answers and talks nonsense. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { verified } from "@mahalla/core"
import { defineCaseType, defineModule } from "@mahalla/core/module"
import { sandboxIdentity } from "@mahalla/sandbox-identity"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type Answer, type Client, newKey, until } from "./client.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { dump, places } from "./dump.ts"
import { expectProblem } from "./problem.ts"

const register = "@mahalla/sandbox-identity"
const path = "/v1/me/identity-checks"

const initiative = defineCaseType({
  definition: {
    id: "initiative",
    version: 1,
    title: { en: "Initiative" },
    data: { properties: { title: { type: "string", maxLength: 200 } }, required: ["title"] },
    place: "none",
    anonymous: true,
    public: true,
    attachments: { min: 0, max: 0 },
    creatable: true,
    guards: ["member"],
    initial: "open",
    states: {
      open: { title: { en: "Open" }, phase: "open" },
      withdrawn: { title: { en: "Withdrawn" }, phase: "closed" }
    },
    transitions: {
      withdraw: { title: { en: "Withdraw" }, from: ["open"], to: ["withdrawn"], guards: ["surely"] }
    }
  },
  guards: { member: verified("substantial"), surely: verified("high") }
})

const simulator = join(import.meta.dirname, "../../../plugins/sandbox-identity/src/simulator.ts")
let registry: ChildProcess
let url = ""
const startRegistry = async (port = "0") => {
  registry = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", simulator, "--port", port], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const [line] = (await once(createInterface(registry.stdout!), "line")) as [string]
  url = `http://127.0.0.1:${(JSON.parse(line) as { port: number }).port}`
}
const killRegistry = async () => {
  const gone = once(registry, "exit")
  registry.kill("SIGKILL")
  await gone
}
const hand = async (method: string, what: string, body?: unknown) =>
  (
    await fetch(`${url}/sandbox/${what}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
  ).json() as Promise<Record<string, number>>

let kit: CityKit
beforeAll(async () => {
  await startRegistry()
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    register: sandboxIdentity({ url, timeout: 1_000 }),
    modules: [defineModule({ id: "initiatives", caseTypes: [initiative] })],
    config: { outwardNetworks: ["127.0.0.1"] }
  })
})
afterAll(async () => {
  await kit?.close()
  registry?.kill("SIGKILL")
})

let numbers = 100
/** Somebody whom the register knows and nobody has asked about. */
const somebody = () => ({ number: `312079012${String(++numbers)}45`, birthDate: "1990-07-12" })
type Citizen = Client & { readonly id: string }

const ask = (who: Client, claims: object, change: object = {}, headers: Record<string, string> = {}) =>
  who.post(path, { register, consent: "1", ...claims, ...change }, headers)
const newest = async (who: Client) => (await who.get(path)).body.items[0]
const settled = (who: Client) =>
  until("answered", async () => {
    const check = await newest(who)
    return check.state !== "waiting" && check
  })
const confirmed = async (who: Client, claims: object) => {
  expect((await ask(who, claims)).status).toBe(202)
  return settled(who)
}
const refused = (name: string, answer: Answer, status: number, type: string, ...pointers: ReadonlyArray<string>) =>
  expectProblem(name, answer, { status, type, pointers })

describe("a citizen", () => {
  test("reads_in_their_language_what_is_asked_kept_and_deleted", async () => {
    const citizen = await kit.samarkand.citizen("+998908000001")
    for (const [language, title, words] of [
      ["uz", "Fuqarolar reyestri (sinov)", "tugʻilgan sanangiz"],
      ["ru", "Реестр граждан (песочница)", "дата рождения"],
      ["en", "Civil registry (sandbox)", "PINFL and your date of birth"]
    ] as const) {
      await citizen.call("PATCH", "/v1/me", { body: { language } })
      const { body } = await citizen.get(path)
      expect(body).toMatchObject({
        verified: null,
        items: [],
        registers: [{ id: register, title, needs: ["birthDate"], numberPattern: "[1-6]\\d{13}", consent: "1" }]
      })
      expect(body.registers[0].text).toContain(words)
      expect(body.registers[0].text).toContain("Samarkand")
    }
  })

  test("is_confirmed_once_and_neither_number_nor_birthday_stays", async () => {
    const phone = "+998908000002"
    const citizen = await kit.samarkand.citizen(phone)
    const claims = somebody()
    const key = { "idempotency-key": newKey() }
    // With the spaces that people type.
    const typed = { ...claims, number: `${claims.number.slice(0, 4)} ${claims.number.slice(4)}` }
    const first = await ask(citizen, typed, {}, key)
    expect([first.status, first.body]).toMatchObject([202, { state: "waiting", register, assurance: null }])
    expect((await ask(citizen, typed, {}, key)).body).toEqual(first.body)
    expect(await settled(citizen)).toMatchObject({ id: first.body.id, state: "confirmed", assurance: "substantial" })
    const me = (await citizen.get("/v1/me")).body
    expect(me.verified).toEqual({
      assurance: "substantial",
      by: register,
      at: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T.*Z$/)
    })
    expect((await citizen.get(path)).body.verified).toEqual(me.verified)
    refused("twice", await ask(citizen, claims), 422, "refused")
    await until("told", async () => {
      const { body } = await kit.samarkand.staff["municipality-admin"].get(`/v1/outbox?to=${encodeURIComponent(phone)}`)
      return body.items.some(({ text }: { text: string }) => /reyestr|реестр|register/i.test(text))
    })
    expect(places(await dump(kit.sql), [claims.number])).toEqual([])
    const rows = await kit.sql<{ claims: null }>("select claims from mahalla.identity_check where principal_id = $1", [
      citizen.id
    ])
    expect(rows).toEqual([{ claims: null }])
  })

  test("is_not_told_which_part_was_wrong", async () => {
    const citizen = await kit.samarkand.citizen("+998908000003")
    const claims = somebody()
    const wrong = { state: "not-confirmed", reason: "no-match" }
    expect(await confirmed(citizen, { ...claims, birthDate: "1990-07-13" })).toMatchObject(wrong)
    expect(await confirmed(citizen, { ...claims, number: "31207901230001" })).toMatchObject(wrong)
    expect(await confirmed(citizen, { ...claims, number: "31207901230002" })).toMatchObject({
      state: "not-confirmed",
      reason: "not-valid"
    })
    expect((await citizen.get("/v1/me")).body.verified).toBeNull()
    expect((await ask(citizen, claims)).status).toBe(202)
    await settled(citizen)
    const staff = kit.samarkand.staff["municipality-admin"]
    await staff.call("DELETE", `/v1/principals/${citizen.id}/identity-checks`)
    // Five in a day.
    expect((await ask(citizen, somebody())).status).toBe(202)
    await settled(citizen)
    await staff.call("DELETE", `/v1/principals/${citizen.id}/identity-checks`)
    refused("the sixth", await ask(citizen, somebody()), 429, "too-many-requests")
  })

  test("meets_a_clear_refusal_for_everything_that_cannot_be_asked", async () => {
    const citizen = await kit.samarkand.citizen("+998908000004")
    const claims = somebody()
    const rows: ReadonlyArray<readonly [string, object, string]> = [
      ["an unknown register", { register: "nowhere" }, "/register"],
      ["a name of every object as a register", { register: "constructor" }, "/register"],
      ["a number that is none", { number: "AB123" }, "/number"],
      ["a number with something behind it", { number: `${claims.number}'--` }, "/number"],
      ["a day that is none", { birthDate: "1990-02-31" }, "/birthDate"],
      ["no birthday", { birthDate: undefined }, "/birthDate"],
      ["more than is needed", { name: "Nodira" }, "/name"],
      ["an older text", { consent: "0" }, "/consent"],
      ["no consent", { consent: undefined }, "/consent"],
      ["an unknown field", { verified: true }, "/verified"]
    ]
    for (const [name, change, pointer] of rows) {
      const answer = await ask(citizen, claims, change)
      refused(name, answer, 400, "invalid-input", pointer)
      expect(answer.text).not.toContain(claims.number)
    }
    refused("a visitor", await ask(kit.samarkand.visitor, claims), 401, "unauthorized")
    refused("a visitor who looks", await kit.samarkand.visitor.get(path), 401, "unauthorized")
    const { body } = await kit.samarkand.staff["municipality-admin"].post("/v1/api-keys", {
      name: "A partner",
      scopes: ["identity-check.revoke"]
    })
    const byKey = kit.samarkand.visitor.with({ authorization: `Bearer ${body.key}` })
    refused("a key", await ask(byKey, claims), 401, "unauthorized")
    const revocation = `/v1/principals/${citizen.id}/identity-checks`
    refused("an inspector", await kit.samarkand.staff.inspector.call("DELETE", revocation), 403, "forbidden")
    refused(
      "another city's admin",
      await kit.bukhara.staff["municipality-admin"].call("DELETE", revocation),
      404,
      "not-found"
    )
    // Nothing of it counted, or was asked.
    expect((await citizen.get(path)).body.items).toEqual([])
  })
})

describe("a register that does not answer", () => {
  test("leaves_the_question_open_and_is_asked_again_under_the_same_id", async () => {
    const citizen = await kit.samarkand.citizen("+998908000011")
    const claims = somebody()
    const port = new URL(url).port
    await killRegistry()
    const { body: first } = await ask(citizen, claims)
    const failed = await until("a try has failed", async () => {
      const [job] = await kit.sql<{ error: string }>(
        "select last_error as error from mahalla.job where topic = 'identity.check' and body ->> 'checkId' = $1 and last_error is not null",
        [first.id]
      )
      return job?.error
    })
    expect(failed).toContain("asked again under this id")
    expect(await newest(citizen)).toMatchObject({ id: first.id, state: "waiting", reason: null })
    const [row] = await kit.sql<{ claims: string }>("select claims from mahalla.identity_check where id = $1", [
      first.id
    ])
    expect(row!.claims).toMatch(/^v1\./)
    const marks = [claims.number, `"${claims.birthDate}"`]
    expect(places(await dump(kit.sql), marks)).toEqual([])
    refused("a second question meanwhile", await ask(citizen, somebody()), 422, "refused")
    // The copy of their data says what is waiting.
    expect((await exported(citizen)).identityChecks).toMatchObject([{ id: first.id, state: "waiting", claims }])

    await startRegistry(port)
    await hand("PUT", "faults", { next: ["lost-after"] })
    expect(await settled(citizen)).toMatchObject({ id: first.id, state: "confirmed" })
    expect((await hand("GET", "asked"))[first.id]).toBe(2)
    const [copy] = (await exported(citizen)).identityChecks
    expect(copy).toMatchObject({ state: "confirmed", claims: null, reference: expect.stringMatching(/^[0-9a-f]{24}$/) })
  })
})

describe("one person", () => {
  test("confirms_one_account_of_a_city_and_hears_of_a_second_try", async () => {
    const phone = "+998908000021"
    const [first, second] = [await kit.samarkand.citizen(phone), await kit.samarkand.citizen("+998908000022")]
    const claims = somebody()
    expect(await confirmed(first, claims)).toMatchObject({ state: "confirmed" })
    expect(await confirmed(second, claims)).toMatchObject({ state: "not-confirmed", reason: "used-elsewhere" })
    expect((await second.get("/v1/me")).body.verified).toBeNull()
    const staff = kit.samarkand.staff["municipality-admin"]
    await until("told", async () => {
      const { body } = await staff.get(`/v1/outbox?to=${encodeURIComponent(phone)}`)
      return body.items.some(({ text }: { text: string }) => /boshqa hisob|another account/.test(text))
    })
    // Another city knows nothing of it.
    const there = await kit.bukhara.citizen(phone)
    expect(await confirmed(there, claims)).toMatchObject({ state: "confirmed" })
    // Whoever lost the first account is helped by the city's staff.
    const revoked = await staff.call("DELETE", `/v1/principals/${first.id}/identity-checks`)
    expect([revoked.status, revoked.body]).toEqual([200, { revoked: 1 }])
    expect((await first.get(path)).body).toMatchObject({ verified: null, items: [{ state: "revoked" }] })
    expect(await confirmed(second, claims)).toMatchObject({ state: "confirmed" })
  })

  test("has_no_number_tried_with_birthday_after_birthday", async () => {
    const { number } = somebody()
    const answers: Array<number> = []
    for (let account = 0; account < 3; account++) {
      const citizen = await kit.samarkand.citizen(`+99890800003${account}`)
      for (let day = 1; day <= 4; day++) {
        const answer = await ask(citizen, { number, birthDate: `1990-08-0${day}` })
        answers.push(answer.status)
        if (answer.status !== 202) break
        await settled(citizen)
      }
    }
    expect(answers.filter((status) => status === 202)).toHaveLength(10)
    expect(answers.at(-1)).toBe(429)
  })

  test("is_free_again_when_the_account_has_ended", async () => {
    const phone = "+998908000041"
    const citizen = await kit.samarkand.citizen(phone)
    const claims = somebody()
    expect(await confirmed(citizen, claims)).toMatchObject({ state: "confirmed" })
    await kit.sql("update mahalla.sign_in_code set sent_at = sent_at - interval '1 hour'")
    await kit.samarkand.visitor
      .with({ "x-forwarded-for": "10.1.2.3" })
      .post("/v1/auth/code", { phone, purpose: "delete-account" })
    const outbox = await kit.samarkand.staff["municipality-admin"].get(`/v1/outbox?to=${encodeURIComponent(phone)}`)
    const sent = outbox.body.items.findLast((message: { class: string }) => message.class === "code")
    const code = /\b\d{6}\b/.exec(String(sent.text))![0]
    const { body } = await citizen.call("DELETE", "/v1/me", { headers: { "confirmation-code": code } })
    await until(
      "erased",
      async () => (await kit.samarkand.visitor.get(`/v1/erasures/${body.id}`)).body.state === "done"
    )
    expect(await kit.sql("select from mahalla.identity_check where principal_id = $1", [citizen.id])).toHaveLength(0)
    expect(await confirmed(await kit.samarkand.citizen(phone), claims)).toMatchObject({ state: "confirmed" })
  })
})

describe("a case type for confirmed people", () => {
  test("takes_cases_and_transitions_of_those_alone_who_are_confirmed_surely_enough", async () => {
    const citizen = await kit.samarkand.citizen("+998908000051")
    const body = { data: { title: "Shade at the bus stop" } }
    for (const who of [citizen, kit.samarkand.visitor]) {
      const answer = await who.post("/v1/cases/initiative", body)
      refused("not confirmed", answer, 403, "not-verified")
      expect(answer.body).toMatchObject({ code: "substantial", detail: expect.stringContaining(path) })
    }
    expect(await confirmed(citizen, somebody())).toMatchObject({ state: "confirmed" })
    const made = await citizen.post("/v1/cases/initiative", body)
    expect(made.status).toBe(201)
    refused(
      "not surely enough",
      await citizen.post(`/v1/cases/initiative/${made.body.id}/transitions/withdraw`),
      403,
      "not-verified"
    )
    expect(await kit.sql("select from mahalla.civic_case where type = 'initiative'")).toHaveLength(1)
    const { body: types } = await citizen.get("/v1/case-types")
    const shown = types.items.find((one: { definition: { id: string } }) => one.definition.id === "initiative")
    expect(shown.definition.guards).toEqual(["member"])
  })
})

/** The JSON in the copy of somebody's data, as it is now. */
const exported = async (citizen: Citizen) => {
  await citizen.post("/v1/me/export")
  await until("the copy is made", async () => {
    const [open] = await kit.sql(
      "select from mahalla.person_request where principal_id = $1 and kind = 'export' and state = 'waiting'",
      [citizen.id]
    )
    return open === undefined
  })
  const answer = await fetch(`${citizen.base}/v1/me/export/content`, { headers: citizen.headers })
  const file = join(kit.home, "copy.zip")
  writeFileSync(file, Buffer.from(await answer.arrayBuffer()))
  const { stdout } = spawnSync("python3", [
    "-c",
    "import sys, zipfile\nsys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read('data.json'))",
    file
  ])
  return JSON.parse(stdout.toString())
}
