/** A person's copy of what is held of them, and the end of it, over HTTP; and that the log can be proved as before. */
import { spawnSync } from "node:child_process"
import { createPublicKey, verify } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fundBudget, requestReward } from "@mahalla/core"
import { BlobStore } from "@mahalla/core/plugin"
import { filesystem } from "@mahalla/filesystem"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type Answer, type Client, makeClient, until } from "./client.ts"
import { type CityKit, openCityKit, report, wrapped } from "./cityKit.ts"
import { dump, places } from "./dump.ts"
import { connected, newApp } from "./oauth/kit.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
type Citizen = Client & { readonly id: string }

/** Copies are not stored before this is over. */
let gate: Promise<void> = Promise.resolve()
const stored = { begun: [] as Array<string>, gone: [] as Array<string> }

beforeAll(async () => {
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    config: { audit: { checkpointEvery: 0.5 } },
    blobs: wrapped(filesystem({}), BlobStore, (store) => ({
      ...store,
      put: (key, ...rest) => {
        if (!key.includes("/exports/")) return store.put(key, ...rest)
        stored.begun.push(key)
        return Effect.andThen(
          Effect.promise(() => gate),
          store.put(key, ...rest)
        )
      },
      delete: (key) => Effect.tap(store.delete(key), () => Effect.sync(() => void stored.gone.push(key)))
    }))
  })
})
afterAll(() => kit?.close())

/** The newest code that was sent to a phone, for deleting its account. */
const codeFor = async (phone: string) => {
  await kit.sql("update mahalla.sign_in_code set sent_at = sent_at - interval '1 hour'")
  expect(
    (
      await kit.samarkand.visitor
        .with({ "x-forwarded-for": "10.1.2.3" })
        .post("/v1/auth/code", { phone, purpose: "delete-account" })
    ).status
  ).toBe(202)
  const outbox = await kit.samarkand.staff["municipality-admin"].get(`/v1/outbox?to=${encodeURIComponent(phone)}`)
  const text = String(outbox.body.items.findLast((message: { class: string }) => message.class === "code").text)
  return /\b\d{6}\b/.exec(text)![0]
}

const erase = async (citizen: Citizen, phone: string) =>
  citizen.call("DELETE", "/v1/me", { headers: { "confirmation-code": await codeFor(phone) } })

const done = (id: string) =>
  until(
    `erasure ${id} is done`,
    async () => (await kit.samarkand.visitor.get(`/v1/erasures/${id}`)).body.state === "done"
  )

const refused = (answer: Answer, status: number, type: string) =>
  expectProblem(`${status} ${type}`, answer, { status, type })

/** What a receipt says, verified with the published keys alone. */
const signedBy = async (receipt: string): Promise<unknown> => {
  const [header, payload, signature] = receipt.split(".") as [string, string, string]
  const { alg, kid, typ } = JSON.parse(Buffer.from(header, "base64url").toString()) as Record<string, string>
  expect([alg, typ]).toEqual(["EdDSA", "mahalla-erasure+jwt"])
  const { keys } = (await makeClient(kit.url).get("/.well-known/jwks.json")).body
  const jwk = keys.find((key: { kid: string }) => key.kid === kid)
  const key = createPublicKey({ key: jwk, format: "jwk" })
  expect(verify(null, Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, "base64url"))).toBe(true)
  return JSON.parse(Buffer.from(payload, "base64url").toString())
}

/** As the sweeper does after a minute. */
const ask = (id: string) =>
  kit.sql(
    "insert into mahalla.job (tenant_id, id, topic, body) values ($1, gen_random_uuid(), 'person.erase', jsonb_build_object('requestId', $2::text))",
    [kit.samarkand.id, id]
  )

describe("a copy of one's data", () => {
  test("holds_everything_of_this_person_and_nothing_of_anybody_else", async () => {
    const [mine, other] = ["+998904000001", "+998904000002"]
    const citizen = await kit.samarkand.citizen(mine)
    const neighbour = await kit.samarkand.citizen(other)
    await citizen.call("PATCH", "/v1/me", { body: { name: "Nodira Karimova" } })
    await neighbour.call("PATCH", "/v1/me", { body: { name: "Somebody Else" } })
    const made = await report(citizen, { description: "A red car by my house" })
    await report(neighbour, { description: "Nothing of hers" })

    refused(await citizen.get("/v1/me/export"), 404, "not-found")
    refused(await kit.samarkand.visitor.post("/v1/me/export"), 401, "unauthorized")
    const asked = await citizen.post("/v1/me/export")
    expect([asked.status, asked.body.state]).toEqual([202, "waiting"])
    // Asking twice is asking once.
    const twice = await citizen.post("/v1/me/export")
    expect([twice.status, ["waiting", "done"].includes(twice.body.state)]).toEqual([202, true])
    await until("the copy is made", async () => (await citizen.get("/v1/me/export")).body.state === "done")

    const answer = await fetch(`${citizen.base}/v1/me/export/content`, { headers: citizen.headers })
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "application/zip"])
    const file = join(kit.home, "my-data.zip")
    writeFileSync(file, Buffer.from(await answer.arrayBuffer()))
    const unzip = (...args: ReadonlyArray<string>) =>
      spawnSync("python3", [
        "-c",
        "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\nsys.stdout.buffer.write(z.read(sys.argv[2]) if len(sys.argv) > 2 else '\\n'.join(z.namelist()).encode())",
        file,
        ...args
      ]).stdout
    const names = unzip().toString().split("\n")
    expect(names).toEqual(["data.json", `files/${made.attachment}-photo.jpg`])
    const data = JSON.parse(unzip("data.json").toString())
    expect(data.profile).toMatchObject({ id: citizen.id, name: "Nodira Karimova", phone: mine })
    expect(data.cases).toContainEqual(
      expect.objectContaining({
        id: made.id,
        data: expect.objectContaining({ description: "A red car by my house" })
      })
    )
    expect(data.events).toEqual(
      expect.arrayContaining([expect.objectContaining({ type: "identity.registered", field: "phone", value: mine })])
    )
    expect(data.files).toMatchObject([{ id: made.attachment, name: "photo.jpg" }])
    expect(JSON.stringify(data)).not.toMatch(/Somebody|998904000002|Nothing of hers/)
    const photo = unzip(names[1]!)
    const [row] = await kit.sql<{ size: number }>("select size::int as size from mahalla.attachment where id = $1", [
      made.attachment
    ])
    expect(photo.length).toBe(row!.size)

    // Nobody else comes at it, by no address.
    refused(await neighbour.get("/v1/me/export/content"), 404, "not-found")
    refused(await kit.samarkand.staff["municipality-admin"].get("/v1/me/export/content"), 404, "not-found")
  })

  test("throws_a_copy_away_that_was_being_made", async () => {
    const citizen = await kit.samarkand.citizen("+998904000091")
    let open = () => {}
    gate = new Promise((resolve) => (open = resolve))
    const { id } = (await citizen.post("/v1/me/export")).body
    await until("the copy is being made", async () => stored.begun.some((key) => key.endsWith(id)))
    await done((await erase(citizen, "+998904000091")).body.id)
    open()
    await until("the copy is gone", async () => stored.gone.some((key) => key.endsWith(id)))
    const rows = await kit.sql("select state, blob_key from mahalla.person_request where id = $1", [id])
    expect(rows).toEqual([{ state: "failed", blob_key: null }])
  })
})

describe("ways to sign in", () => {
  test("are_in_the_copy_without_what_makes_them_work_and_end_with_the_account", async () => {
    const phone = "+998904000071"
    const citizen = await kit.samarkand.citizen(phone)
    const app = await newApp(kit.samarkand, citizen)
    const { tokens } = await connected(kit, kit.samarkand, app, phone)
    const byApp = kit.samarkand.visitor.with({ authorization: `Bearer ${tokens.access_token}` })
    expect((await byApp.get("/v1/cases?owner=me")).status).toBe(200)
    // An app sees what it was let see, and ends nobody.
    for (const [method, path] of [
      ["POST", "/v1/me/export"],
      ["GET", "/v1/me/export"],
      ["DELETE", "/v1/me"]
    ] as const)
      refused(await byApp.call(method, path), 403, "forbidden")
    const secret = (await citizen.post("/v1/me/factors/totp")).body.secret as string
    expect(secret).toMatch(/^[A-Z2-7]{32}$/)

    await citizen.post("/v1/me/export")
    await until("the copy is made", async () => (await citizen.get("/v1/me/export")).body.state === "done")
    const [copy] = await kit.sql<{ key: string }>(
      "select blob_key as key from mahalla.person_request where principal_id = $1 and kind = 'export'",
      [citizen.id]
    )
    expect(copy!.key).toContain(kit.samarkand.id)
    const zip = Buffer.from(
      await (await fetch(`${citizen.base}/v1/me/export/content`, { headers: citizen.headers })).arrayBuffer()
    )
    const file = join(kit.home, "ways.zip")
    writeFileSync(file, zip)
    const text = spawnSync("python3", [
      "-c",
      "import sys, zipfile\nsys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read('data.json'))",
      file
    ]).stdout.toString()
    const data = JSON.parse(text)
    expect(data.sessions.length).toBeGreaterThan(0)
    expect(data.devices.length).toBeGreaterThan(0)
    expect(data.factors).toMatchObject({ passkeys: [], authenticatorApp: { confirmedAt: null }, recoveryCodes: [] })
    expect(data.apps).toMatchObject([{ id: app.id, status: "active" }])
    expect(data.consents).toMatchObject([{ appId: app.id, revokedAt: null }])
    for (const word of [secret, app.secret!, tokens.access_token, tokens.refresh_token!])
      expect(text).not.toContain(word)

    const answer = await erase(citizen, phone)
    expect(answer.status).toBe(202)
    expect((await byApp.get("/v1/cases?owner=me")).status).toBe(401)
    await done(answer.body.id)
    const [left] = await kit.sql<{ amount: number }>(
      `select ((select count(*) from mahalla.session where principal_id = $1)
        + (select count(*) from mahalla.sign_in_device where principal_id = $1)
        + (select count(*) from mahalla.totp where principal_id = $1)
        + (select count(*) from mahalla.oauth_grant where principal_id = $1)
        + (select count(*) from mahalla.oauth_client where owner_id = $1))::int as amount`,
      [citizen.id]
    )
    expect(left!.amount).toBe(0)
    const [principal] = await kit.sql<{ status: string; name_sealed: string | null }>(
      "select status, name_sealed from mahalla.principal where id = $1",
      [app.id]
    )
    expect(principal).toEqual({ status: "erased", name_sealed: null })
  })

  test("and_a_city's_keys_end_with_who_made_them", async () => {
    const phone = "+998904000081"
    const maker = await kit.samarkand.citizen(phone)
    const admin = kit.samarkand.staff["municipality-admin"]
    const { body } = await admin.post("/v1/api-keys", { name: "A partner", scopes: ["job.read"] })
    const byKey = kit.samarkand.visitor.with({ authorization: `Bearer ${body.key}` })
    expect((await byKey.get("/v1/me")).status).toBe(200)
    refused(await byKey.post("/v1/me/export"), 401, "unauthorized")
    await kit.sql("update mahalla.api_key set created_by = $1 where id = $2", [maker.id, body.id])
    const { body: erasure } = await erase(maker, phone)
    await done(erasure.id)
    const [key] = await kit.sql<{ over: boolean }>(
      "select revoked_at is not null as over from mahalla.api_key where id = $1",
      [body.id]
    )
    expect(key).toEqual({ over: true })
    refused(await byKey.get("/v1/me"), 401, "unauthorized")
  })
})

describe("deleting one's account", () => {
  const phone = "+998904000011"

  test("needs_a_code_of_its_own_phone", async () => {
    const citizen = await kit.samarkand.citizen(phone)
    refused(await citizen.call("DELETE", "/v1/me"), 401, "sign-in-refused")
    const other = await codeFor("+998904000012")
    refused(await citizen.call("DELETE", "/v1/me", { headers: { "confirmation-code": other } }), 401, "sign-in-refused")
    refused(await kit.samarkand.visitor.call("DELETE", "/v1/me"), 401, "unauthorized")
    refused(await kit.samarkand.staff.inspector.call("DELETE", "/v1/me"), 422, "refused")
    expect((await citizen.get("/v1/me")).status).toBe(200)
  })

  test("takes_every_value_away_keeps_the_case_and_every_proof", async () => {
    const citizen = await kit.samarkand.citizen("+998904000021")
    const marks = ["998904000021", "Zulfiya Erased", "my neighbour Botir", "That was my own street"]
    await citizen.call("PATCH", "/v1/me", { body: { name: marks[1] } })
    const made = await report(citizen, { description: `It was ${marks[2]}` })
    await citizen.post(`/v1/cases/traffic-report/${made.id}/comments`, { text: marks[3] })
    await citizen.post("/v1/me/export")
    await until("the copy is made", async () => (await citizen.get("/v1/me/export")).body.state === "done")
    const answer = await erase(citizen, "+998904000021")
    expect([answer.status, answer.body.state]).toEqual([202, "waiting"])
    expect(await signedBy(answer.body.receipt)).toMatchObject({
      erasure: answer.body.id,
      requestedAt: answer.body.requestedAt
    })
    // Out at once, whatever is still to be done.
    refused(await citizen.get("/v1/me"), 401, "unauthorized")
    await done(answer.body.id)

    const inspector = kit.samarkand.staff.inspector
    const kept = await inspector.get(`/v1/cases/traffic-report/${made.id}`)
    expect([kept.status, kept.body.data.description, kept.body.data.offence]).toEqual([200, undefined, "red-light"])
    expect((await inspector.get(`/v1/cases?q=Botir`)).body.items).toEqual([])
    const person = await kit.samarkand.staff["municipality-admin"].get(`/v1/principals/${citizen.id}`)
    expect(person.body).toMatchObject({ status: "erased", name: null, grants: [] })
    expect(places(await dump(kit.sql), marks)).toEqual([])
    const [personal] = await kit.sql<{ amount: number }>(
      "select count(*)::int as amount from mahalla.event_personal where person_id = $1",
      [citizen.id]
    )
    expect(personal!.amount).toBe(0)
    // The commitment is still there, and nothing to open it with.
    const events = await kit.sql<{ commitments: Record<string, string> }>(
      "select commitments from mahalla.event where actor_id = $1 and type = 'identity.registered'",
      [citizen.id]
    )
    expect(events[0]!.commitments["phone"]).toMatch(/^[\w-]{43}$/)

    // The same phone is somebody new.
    const again = await kit.samarkand.citizen("+998904000021")
    expect(again.id).not.toBe(citizen.id)
    expect((await again.get("/v1/me")).body.name).toBe(null)
    await proved()
  })

  test("is_refused_to_the_last_administrator_of_the_city_even_when_two_go_at_once", async () => {
    const admin = kit.samarkand.staff["municipality-admin"]
    const phones = ["+998904000081", "+998904000082", "+998904000083"] as const
    const people = await Promise.all(phones.map((phone) => kit.samarkand.citizen(phone)))
    const give = (person: Citizen) => admin.post(`/v1/principals/${person.id}/grants`, { role: "municipality-admin" })
    for (const person of people.slice(0, 2)) expect((await give(person)).status).toBe(201)
    const codes = [await codeFor(phones[0]), await codeFor(phones[1])]
    const lasting = (until: string | null) =>
      kit.sql("update mahalla.role_grant set until = $2 where principal_id = $1 and role = 'municipality-admin'", [
        admin.id,
        until
      ])
    // Who is one for an hour only keeps no city in anybody's hands.
    await lasting(new Date(Date.now() + 3_600_000).toISOString())
    const answers = await Promise.all(
      codes.map((code, at) => people[at]!.call("DELETE", "/v1/me", { headers: { "confirmation-code": code } }))
    )
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202, 422]))
    const at = answers.findIndex(({ status }) => status === 422)
    const [last, phone] = [people[at]!, phones[at]!]
    refused(answers[at]!, 422, "refused")
    expect(answers[at]!.body.code).toBe("last-administrator")
    // Nothing of it has happened.
    expect((await last.get("/v1/principals?limit=1")).status).toBe(200)
    expect(await kit.sql("select from mahalla.person_request where principal_id = $1", [last.id])).toEqual([])
    await done(answers[1 - at]!.body.id)

    const heir = people[2]!
    expect((await last.post(`/v1/principals/${heir.id}/grants`, { role: "municipality-admin" })).status).toBe(201)
    expect((await erase(last, phone)).status).toBe(202)
    await lasting(null)
  })

  test("waits_for_money_on_its_way", async () => {
    const citizen = await kit.samarkand.citizen("+998904000031")
    const { id: caseId } = await report(citizen)
    const reward = { caseId, principalId: citizen.id, amount: 900_000_000_000_000n, rule: "share-of-fine" }
    await kit.city.as({ tenant: "samarkand", principal: "system" }).run(requestReward(reward))
    const answer = await erase(citizen, "+998904000031")
    const state = async () => (await kit.samarkand.visitor.get(`/v1/erasures/${answer.body.id}`)).body
    await until("it says what it waits for", async () => (await state()).waitsFor.length > 0)
    expect(await state()).toMatchObject({ state: "waiting", waitsFor: ["payouts"] })
    expect(
      (await kit.sql("select from mahalla.principal where id = $1 and phone_sealed is not null", [citizen.id])).length
    ).toBe(1)

    // A person of the treasury finds out what became of it.
    await kit.sql("update mahalla.payout set state = 'manual' where principal_id = $1", [citizen.id])
    const treasurer = kit.samarkand.staff.treasurer
    const { body: payouts } = await treasurer.get("/v1/payouts?state=manual")
    const own = payouts.items.find((one: { caseId: string }) => one.caseId === caseId)
    const word = { outcome: "succeeded", reference: "by hand 17", reason: "Register of 20 November" }
    await kit.city
      .as({ tenant: "samarkand", principal: "system" })
      .run(fundBudget({ amount: 900_000_000_000_000n, memo: "For the one who leaves" }))
    expect((await treasurer.post(`/v1/payouts/${own.id}/settlement`, word)).body.state).toBe("succeeded")
    await ask(answer.body.id)
    await done(answer.body.id)
    const [payout] = await kit.sql(
      "select payee, payee_sealed, amount::text as amount from mahalla.payout where principal_id = $1",
      [citizen.id]
    )
    expect(payout).toEqual({ payee: "", payee_sealed: null, amount: "900000000000000" })
    // A second job for it finds nothing to do.
    await ask(answer.body.id)
  })
})

describe("changing a city's key", () => {
  test("is_seen_on_its_way_and_changes_nothing_that_people_see", async () => {
    const { samarkand } = kit
    const admin = samarkand.staff["municipality-admin"]
    const citizen = await samarkand.citizen("+998904000061")
    await citizen.call("PATCH", "/v1/me", { body: { name: "Dilshod" } })
    const { body: before } = await samarkand.staff.auditor.get("/v1/keys")
    expect(before).toMatchObject({ version: 1, destroyed: false, keys: [{ version: 1 }] })
    for (const who of [samarkand.visitor, citizen, samarkand.staff.inspector])
      refused(await who.get("/v1/keys"), 403, "forbidden")
    refused(await samarkand.staff.auditor.post("/v1/keys/rotations"), 403, "forbidden")
    const begun = await Promise.all([1, 2, 3].map(() => admin.post("/v1/keys/rotations")))
    // Three who ask at once have begun one change.
    expect(begun.map(({ body, status }) => [status, body.version])).toEqual([1, 2, 3].map(() => [202, 2]))
    const state = await until("all is under the new key", async () => {
      const { body } = await admin.get("/v1/keys")
      return body.parts.every((part: { finishedAt: string | null }) => part.finishedAt !== null) && body
    })
    expect(state.parts.map(({ part }: { part: string }) => part)).toEqual([
      "filings.filing",
      "identity.check",
      "identity.openid-invitation",
      "identity.openid-link",
      "identity.openid-provider",
      "identity.totp",
      "kernel.event-personal",
      "kernel.idempotency-key",
      "kernel.principal",
      "notifications.address",
      "payouts.payout",
      "webhooks.secret"
    ])
    expect(state.parts.find(({ part }: { part: string }) => part === "kernel.principal").done).toBeGreaterThan(3)
    const old = await kit.sql(
      "select from mahalla.principal where tenant_id = $1 and (starts_with(name_sealed, 'v1.1.') or starts_with(phone_sealed, 'v1.1.'))",
      [samarkand.id]
    )
    expect(old).toHaveLength(0)
    expect((await citizen.get("/v1/me")).body).toMatchObject({ name: "Dilshod", phone: "…61" })
    // The index is what it was: the same phone is the same person.
    await kit.sql("update mahalla.sign_in_code set sent_at = sent_at - interval '1 hour'")
    expect((await samarkand.citizen("+998904000061")).id).toBe(citizen.id)
    // Until no process can still seal with it the old key stays.
    expect(state.keys.map(({ version }: { version: number }) => version)).toEqual([1, 2])
    const events = await kit.sql("select from mahalla.event where tenant_id = $1 and type = 'personal.key-changed'", [
      samarkand.id
    ])
    expect(events).toHaveLength(1)
  })
})

describe("destroying a city's keys", () => {
  test("leaves_nothing_that_opens_and_every_proof", async () => {
    const { bukhara } = kit
    const citizen = await bukhara.citizen("+998904000041")
    await report(citizen, { description: "Gone with the keys" })
    await kit.city.admin.keys.destroy("bukhara")
    expect(await kit.city.admin.keys.state("bukhara")).toMatchObject({ destroyed: true, keys: [] })
    const me = await citizen.get("/v1/me")
    expect(me.status).toBe(500)
    expect(me.text).not.toContain("998904")
    const wrapped = await kit.sql("select distinct wrapped from mahalla.tenant_key where tenant_id = $1", [bukhara.id])
    expect(wrapped).toEqual([{ wrapped: "" }])
    // The other city knows nothing of it.
    expect((await (await kit.samarkand.citizen("+998904000051")).get("/v1/me")).status).toBe(200)
    await proved(bukhara)
  })
})

/** The separate verifier finds the whole log as it was signed. */
const proved = async (tenant = kit.samarkand) => {
  const auditor = tenant.staff.auditor
  await until("sealed", async () => {
    const [row] = await kit.sql<{ head: string; open: string }>(
      `select (select position from mahalla.event_head where tenant_id = $1)::text as head,
              (select count(*) from mahalla.event_outbox)::text as open`,
      [tenant.id]
    )
    return row!.open === "0" && String((await auditor.get("/v1/audit/checkpoint")).body.size) === row!.head
  })
  const [log, signed, keys] = ["log.ndjson", "checkpoints", "jwks.json"].map((name) => join(kit.home, `proved-${name}`))
  writeFileSync(log!, (await auditor.get("/v1/audit/export")).text)
  const { body } = await auditor.get("/v1/audit/checkpoints?limit=200")
  writeFileSync(signed!, body.items.map((one: { signed: string }) => `${one.signed}\n`).join(""))
  writeFileSync(keys!, await fetch(`${kit.url}/.well-known/jwks.json`).then((response) => response.text()))
  const verifier = join(import.meta.dirname, "../../../cli/src/audit/main.ts")
  const { status, stdout } = spawnSync(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", verifier, log!, "--checkpoint", signed!, "--key", keys!, "--json"],
    { encoding: "utf8" }
  )
  expect([status, stdout]).toEqual([0, expect.stringContaining("verified")])
  expect(readFileSync(log!, "utf8").split("\n").length).toBeGreaterThan(5)
}

test("addresses_of_accounts_are_in_the_document", async () => {
  const { paths } = (await makeClient(kit.url).get("/openapi.json")).body
  expect(Object.keys(paths["/v1/me"]).sort()).toEqual(["delete", "get", "patch"])
  for (const path of ["/v1/me/export", "/v1/me/export/content", "/v1/erasures/{id}", "/v1/keys", "/v1/keys/rotations"])
    expect(Object.keys(paths)).toContain(path)
})
