/** Devices that nobody registered one by one: by their fleet's key over HTTP, and by certificates of their maker over MQTT with TLS. */
import { execFileSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { type AddressInfo, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { mqtt } from "@mahalla/mqtt"
import { connectAsync } from "mqtt"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { ensureProgram } from "../../../../scripts/services/debian.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"
import type { Client } from "./client.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let admin: Client
let port: number
const folder = mkdtempSync(join(tmpdir(), "mahalla-provisioning-"))

const program = await ensureProgram("openssl")
const openssl = (...args: ReadonlyArray<string>) => execFileSync(program, args, { cwd: folder, stdio: "pipe" })
const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
const selfSigned = (name: string, authority: boolean) => {
  const constraints = ["-addext", `basicConstraints=critical,CA:${authority ? "TRUE" : "FALSE"}`]
  openssl(
    "req",
    "-x509",
    ...curve,
    "-keyout",
    `${name}.key`,
    "-out",
    `${name}.pem`,
    "-days",
    "2",
    "-subj",
    `/CN=${name}`,
    ...constraints
  )
  return readFileSync(join(folder, `${name}.pem`), "utf8")
}
/** A device's key and certificate. */
const signedBy = (authority: string, name: string) => {
  openssl("req", ...curve, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`)
  openssl(
    "x509",
    "-req",
    "-in",
    `${name}.csr`,
    "-CA",
    `${authority}.pem`,
    "-CAkey",
    `${authority}.key`,
    "-CAcreateserial",
    "-out",
    `${name}.pem`,
    "-days",
    "2"
  )
  return { key: readFileSync(join(folder, `${name}.key`)), cert: readFileSync(join(folder, `${name}.pem`)) }
}

beforeAll(async () => {
  selfSigned("broker", false)
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  port = (server.address() as AddressInfo).port
  server.close()
  await once(server, "close")
  const tls = { port, certificate: join(folder, "broker.pem"), key: join(folder, "broker.key") }
  kit = await openCityKit({ postgresUrl: inject("postgresUrl"), plugins: [mqtt({ tls })] })
  admin = kit.samarkand.staff["municipality-admin"]
})
afterAll(async () => {
  await kit?.close()
  rmSync(folder, { recursive: true, force: true })
})

const profile = async (name: string, client: Client = admin) => {
  const definition = { datastreams: [{ key: "level", title: "Level", unit: "m" }], format: "json", retention: 90 }
  const { body } = await client.post("/v1/device-profiles", { name, definition })
  return String(body.id)
}
const opened = async (request: object, client: Client = admin) => {
  const answer = await client.post("/v1/device-provisioning", request)
  expect(answer.status).toBe(201)
  return answer.body
}
const asked = (
  key: { provisionDeviceKey?: string; provisionDeviceSecret?: string },
  deviceName: string,
  client: Client = kit.samarkand.visitor
) =>
  client.post("/api/v1/provision", {
    deviceName,
    provisionDeviceKey: key.provisionDeviceKey,
    ...(key.provisionDeviceSecret === undefined ? {} : { provisionDeviceSecret: key.provisionDeviceSecret })
  })

describe("a fleet's key", () => {
  test("brings_a_new_device_that_sends_at_once_and_brings_it_only_once", async () => {
    const profileId = await profile("fleet")
    const { id, label, provisionDeviceKey, provisionDeviceSecret } = await opened({ profileId })
    const key = { provisionDeviceKey, provisionDeviceSecret }
    const answers = await Promise.all([asked(key, "new-1"), asked(key, "new-1"), asked(key, "new-1")])
    const good = answers.filter(({ status }) => status === 200)
    expect(good).toHaveLength(1)
    expect(good[0]!.body).toEqual({
      status: "SUCCESS",
      credentialsType: "ACCESS_TOKEN",
      credentialsValue: expect.stringMatching(/^[\w-]{32}$/)
    })
    for (const answer of answers.filter(({ status }) => status !== 200))
      expectProblem("again", answer, { status: 422, type: "refused" })
    const sent = await kit.samarkand.visitor.post(`/api/v1/${good[0]!.body.credentialsValue}/telemetry`, { level: 3 })
    expect(sent.status).toBe(200)
    const stored = await kit.sql<{ name: string; value: number; profile: string }>(
      `select d.name, r.value, d.profile_id as profile from mahalla.reading r join mahalla.datastream s on s.number = r.datastream
       join mahalla.device d on d.id = s.device_id where d.name = 'new-1'`
    )
    expect(stored).toEqual([{ name: "new-1", value: 3, profile: profileId }])

    // As one word, from a device that has room for one.
    const one = { provisionDeviceKey: `${provisionDeviceKey}.${provisionDeviceSecret}` }
    expect((await asked(one, "new-2")).status).toBe(200)

    const { body: list } = await admin.get("/v1/device-provisioning")
    expect(list.items.find((item: { id: string }) => item.id === id)).toEqual({
      ...{ id, kind: "key", profileId, registeredOnly: false, label, validUntil: null },
      ...{ names: null, most: null, brought: 2 }
    })
    expect((await admin.call("DELETE", `/v1/device-provisioning/${id}`)).status).toBe(204)
    expectProblem("revoked", await asked(key, "new-3"), { status: 401, type: "unauthorized" })
    expect(await kit.sql("select from mahalla.device where name = 'new-3'")).toEqual([])
    const [kept] = await kit.sql<{ text: string }>(
      "select coalesce(string_agg(t::text, ' '), '') as text from mahalla.device_provisioning t"
    )
    expect(kept!.text).not.toContain(provisionDeviceSecret)
  })

  test("brings_registered_devices_only_where_it_says_so_and_never_a_blocked_or_known_one", async () => {
    const profileId = await profile("listed")
    const other = await profile("other")
    const key = await opened({ profileId, registeredOnly: true })
    expectProblem("a stranger", await asked(key, "stranger"), { status: 422, type: "refused" })
    for (const [name, of] of [
      ["listed-1", profileId],
      ["listed-2", profileId],
      ["foreign-1", other]
    ] as const)
      await admin.post("/v1/devices", { name, profileId: of })
    const idOf = async (name: string) => String((await admin.get(`/v1/devices?q=${name}`)).body.items[0].id)
    expect((await asked(key, "listed-1")).status).toBe(200)
    expectProblem("another profile's", await asked(key, "foreign-1"), { status: 422, type: "refused" })
    await admin.call("PATCH", `/v1/devices/${await idOf("listed-2")}`, { body: { status: "blocked" } })
    expectProblem("a blocked one", await asked(key, "listed-2"), { status: 422, type: "refused" })
    // Whose token was revoked, as that of a stolen one.
    const id = await idOf("listed-1")
    const { body } = await admin.get(`/v1/devices/${id}/credentials`)
    await admin.call("DELETE", `/v1/devices/${id}/credentials/${body.items[0].id}`)
    const again = await asked(key, "listed-1")
    expect([again.status, again.body.code]).toEqual([422, "already-provisioned"])
  })

  test("brings_as_many_as_it_may_also_at_once_and_only_names_that_it_is_for", async () => {
    const profileId = await profile("counted")
    const key = await opened({ profileId, names: "counted-*-a", most: 2 })
    expect(key).toMatchObject({ names: "counted-*-a", most: 2, brought: 0 })
    expectProblem("another name", await asked(key, "counted-1-b"), { status: 422, type: "refused" })
    const answers = await Promise.all([1, 2, 3, 4].map((number) => asked(key, `counted-${number}-a`)))
    expect(answers.map(({ body, status }) => `${status} ${body.code ?? ""}`).sort((a, b) => (a < b ? -1 : 1))).toEqual([
      "200 ",
      "200 ",
      "422 used-up",
      "422 used-up"
    ])
    expect(await kit.sql("select from mahalla.device where name like 'counted-%'")).toHaveLength(2)
    const { body: list } = await admin.get("/v1/device-provisioning")
    expect(list.items.find(({ id }: { id: string }) => id === key.id)).toMatchObject({ most: 2, brought: 2 })
    for (const [wrong, pointer] of [
      [{ names: "*" }, "/names"],
      [{ names: "a*b*" }, "/names"],
      [{ names: "a b" }, "/names"],
      [{ most: 0 }, "/most"]
    ] as const)
      expectProblem("wrong", await admin.post("/v1/device-provisioning", { profileId, ...wrong }), {
        ...{ status: 400, type: "invalid-input", pointers: [pointer] }
      })
  })

  test("that_is_wrong_over_or_another_citys_brings_nothing", async () => {
    const profileId = await profile("wrong")
    const key = await opened({ profileId, validUntil: new Date(Date.now() + 1500).toISOString() })
    const [half, swapped] = [
      { provisionDeviceKey: key.provisionDeviceKey },
      { provisionDeviceKey: key.provisionDeviceKey, provisionDeviceSecret: "x" }
    ]
    for (const wrong of [half, swapped, { provisionDeviceKey: "x" }])
      expectProblem("wrong", await asked(wrong, "w-1"), { status: 401, type: "unauthorized" })
    expectProblem("elsewhere", await asked(key, "w-1", kit.bukhara.visitor), { status: 401, type: "unauthorized" })
    expectProblem("no name", await asked(key, "a b"), { status: 400, type: "invalid-input", pointers: ["/deviceName"] })
    const broken = await kit.samarkand.visitor.call("POST", "/api/v1/provision", { body: "{" })
    expectProblem("no JSON", broken, { status: 400, type: "invalid-input" })
    await new Promise((later) => setTimeout(later, 1600))
    expectProblem("over", await asked(key, "w-1"), { status: 401, type: "unauthorized" })
    expect(await kit.sql("select from mahalla.device where name = 'w-1'")).toEqual([])
    for (const answer of [
      await kit.samarkand.staff.inspector.get("/v1/device-provisioning"),
      await kit.samarkand.staff.inspector.post("/v1/device-provisioning", { profileId })
    ])
      expectProblem("without permission", answer, { status: 403, type: "forbidden" })
    const foreign = kit.bukhara.staff["municipality-admin"]
    expect((await foreign.call("DELETE", `/v1/device-provisioning/${key.id}`)).status).toBe(404)
    expectProblem("another city's profile", await foreign.post("/v1/device-provisioning", { profileId }), {
      status: 400,
      type: "invalid-input",
      pointers: ["/profileId"]
    })
  })
})

describe("a maker's authority", () => {
  const connect = (shown: { key: Buffer; cert: Buffer }) =>
    connectAsync(`mqtts://127.0.0.1:${port}`, { ...shown, rejectUnauthorized: false, reconnectPeriod: 0 }, false)

  test("brings_devices_whose_certificates_it_signed_over_a_real_connection", async () => {
    const certificate = selfSigned("factory", true)
    const profileId = await profile("made")
    const made = await opened({ profileId, certificate })
    expect(made).toMatchObject({ kind: "x509", label: "CN=factory" })
    expect(made.provisionDeviceKey).toBeUndefined()
    expect(Date.parse(made.validUntil)).toBeLessThan(Date.now() + 3 * 86_400_000)
    const meter = signedBy("factory", "made-1")
    for (const level of [1, 2]) {
      const client = await connect(meter)
      await client.publishAsync("v1/devices/me/telemetry", JSON.stringify({ level }), { qos: 1 })
      await client.endAsync()
    }
    const stored = await kit.sql<{ name: string; profile: string; value: number }>(
      `select d.name, d.profile_id as profile, r.value from mahalla.reading r join mahalla.datastream s on s.number = r.datastream
       join mahalla.device d on d.id = s.device_id where d.name = 'made-1' order by r.value`
    )
    expect(stored).toEqual([
      { name: "made-1", profile: profileId, value: 1 },
      { name: "made-1", profile: profileId, value: 2 }
    ])
    // The second city cannot take the first one's devices by naming the same authority.
    const foreign = kit.bukhara.staff["municipality-admin"]
    await opened({ profileId: await profile("made", foreign), certificate }, foreign)
    await (await connect(signedBy("factory", "made-2"))).endAsync()
    const homes = await kit.sql<{ tenant: string }>(
      "select tenant_id as tenant from mahalla.device where name = 'made-2'"
    )
    expect(homes).toEqual([{ tenant: kit.samarkand.id }])
  })

  test("of_which_a_certificate_only_pretends_to_be_is_refused_and_so_is_one_that_was_revoked", async () => {
    const certificate = selfSigned("works", true)
    const profileId = await profile("works")
    const { id } = await opened({ profileId, certificate, registeredOnly: true })
    // Another authority of the same name.
    selfSigned("works", true)
    const forged = signedBy("works", "forged-1")
    await admin.post("/v1/devices", { name: "forged-1", profileId })
    await expect(connect(forged)).rejects.toThrow(/not authorized/i)
    const third = selfSigned("third", true)
    const way = await opened({ profileId: await profile("third"), certificate: third })
    const device = signedBy("third", "third-1")
    await (await connect(device)).endAsync()
    await admin.call("DELETE", `/v1/device-provisioning/${way.id}`)
    await expect(connect(device)).rejects.toThrow(/not authorized/i)
    expect((await admin.call("DELETE", `/v1/device-provisioning/${id}`)).status).toBe(204)
  })

  test("opens_no_device_of_another_profile_and_none_whose_own_certificate_was_revoked", async () => {
    const certificate = selfSigned("maker", true)
    const profileId = await profile("maker")
    await opened({ profileId, certificate })
    await admin.post("/v1/devices", { name: "main-gateway", profileId: await profile("gateways"), gateway: true })
    await expect(connect(signedBy("maker", "main-gateway"))).rejects.toThrow(/not authorized/i)
    const stolen = signedBy("maker", "maker-1")
    const { body } = await admin.post("/v1/devices", { name: "maker-1", profileId })
    const own = { kind: "x509", certificate: stolen.cert.toString() }
    const path = `/v1/devices/${body.id}/credentials`
    const { body: credential } = await admin.post(path, { credential: own })
    await (await connect(stolen)).endAsync()
    expect((await admin.call("DELETE", `${path}/${credential.id}`)).status).toBe(204)
    await expect(connect(stolen)).rejects.toThrow(/not authorized/i)
  })

  test("keeps_its_devices_from_another_city_that_names_their_certificates", async () => {
    const profileId = await profile("owner")
    await opened({ profileId, certificate: selfSigned("owner", true) })
    const [chained, pinned] = [signedBy("owner", "owner-1"), signedBy("owner", "owner-2")]
    const { body: mine } = await admin.post("/v1/devices", { name: "owner-2", profileId })
    const name = async (of: Client, id: string, { cert }: { readonly cert: Buffer }) =>
      of.post(`/v1/devices/${id}/credentials`, { credential: { kind: "x509", certificate: cert.toString() } })
    expect((await name(admin, mine.id, pinned)).status).toBe(201)
    const foreign = kit.bukhara.staff["municipality-admin"]
    const { body: theirs } = await foreign.post("/v1/devices", {
      name: "thief",
      profileId: await profile("thieves", foreign)
    })
    for (const one of [chained, pinned]) expect((await name(foreign, theirs.id, one)).status).toBe(201)
    for (const [index, one] of [chained, pinned].entries()) {
      const client = await connect(one)
      await client.publishAsync("v1/devices/me/telemetry", JSON.stringify({ level: 70 + index }), { qos: 1 })
      await client.endAsync()
    }
    const homes = await kit.sql<{ tenant: string }>(
      "select tenant_id as tenant from mahalla.reading where value in (70, 71)"
    )
    expect(homes).toEqual([{ tenant: kit.samarkand.id }, { tenant: kit.samarkand.id }])
  })

  test("opens_no_other_names_than_it_is_for_and_brings_no_more_than_it_may", async () => {
    const certificate = selfSigned("narrow", true)
    const profileId = await profile("narrow")
    await opened({ profileId, certificate, names: "narrow-*", most: 1 })
    await admin.post("/v1/devices", { name: "valve-of-somebody", profileId })
    await expect(connect(signedBy("narrow", "valve-of-somebody"))).rejects.toThrow(/not authorized/i)
    const first = signedBy("narrow", "narrow-1")
    await (await connect(first)).endAsync()
    await expect(connect(signedBy("narrow", "narrow-2"))).rejects.toThrow(/not authorized/i)
    // Who has come may come again.
    await (await connect(first)).endAsync()
    expect(await kit.sql("select from mahalla.device where name like 'narrow-%'")).toHaveLength(1)
  })

  test("is_one_and_is_named_once", async () => {
    const profileId = await profile("once")
    const leaf = selfSigned("leaf", false)
    const certificate = selfSigned("once", true)
    await opened({ profileId, certificate })
    for (const wrong of [leaf, certificate, "-----BEGIN nothing", ""])
      expectProblem("no authority", await admin.post("/v1/device-provisioning", { profileId, certificate: wrong }), {
        status: 400,
        type: "invalid-input",
        pointers: ["/certificate"]
      })
  })
})
