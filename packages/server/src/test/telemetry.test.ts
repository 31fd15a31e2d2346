/** The way of a reading: from a device's message by MQTT or HTTP to what an operator's screen asks for. Driven from outside, with the npm package `mqtt`. */
import { randomBytes } from "node:crypto"
import { mqtt } from "@mahalla/mqtt"
import { connectAsync, type MqttClient } from "mqtt"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { freePort } from "../../../../scripts/services/port.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let broker: string

beforeAll(async () => {
  const port = await freePort()
  broker = `mqtt://127.0.0.1:${port}`
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    plugins: [mqtt({ tcp: { port } })]
  })
})
afterAll(() => kit?.close())

const definition = {
  datastreams: [
    { key: "pressure", title: "Pressure", unit: "bar", minimum: 0, maximum: 20 },
    { key: "flow", title: "Flow", unit: "m3/h" }
  ],
  format: "json",
  interval: 60,
  retention: 90
}

/** A device with a token. */
const device = async (slug: "samarkand" | "bukhara", name: string) => {
  const admin = kit[slug].staff["municipality-admin"]
  const { body: profiles } = await admin.get("/v1/device-profiles")
  const profile = profiles.items[0] ?? (await admin.post("/v1/device-profiles", { name: "meter", definition })).body
  const made = await admin.post("/v1/devices", { name, profileId: profile.id, groups: ["north"] })
  expect(made.status).toBe(201)
  const { body: credential } = await admin.post(`/v1/devices/${made.body.id}/credentials`, {
    credential: { kind: "token" }
  })
  return { admin, id: made.body.id as string, token: credential.token as string, credentialId: credential.id as string }
}

const latest = async (of: { readonly admin: (typeof kit.samarkand.staff)["auditor"]; readonly id: string }) => {
  const { body } = await of.admin.post("/v1/readings/latest", { devices: [of.id] })
  return Object.fromEntries(
    body.items.map((item: { key: string; value: number | null }) => [item.key, item.value])
  ) as Record<string, number | null>
}

const eventually = async (check: () => Promise<void>) => {
  for (let left = 40; ; left--) {
    try {
      return await check()
    } catch (error) {
      if (left === 0) throw error
      await new Promise((later) => setTimeout(later, 100))
    }
  }
}

describe("a reading", () => {
  test("by_mqtt_is_acknowledged_when_it_is_stored_and_seen_moments_later", async () => {
    const meter = await device("samarkand", "meter-1")
    const client: MqttClient = await connectAsync(broker, { username: meter.token })
    await client.publishAsync("v1/devices/me/telemetry", JSON.stringify({ pressure: 3.5, flow: 12 }), { qos: 1 })
    const rows = await kit.sql<{ value: number }>("select value from mahalla.reading order by value")
    expect(rows.map(({ value }) => value)).toEqual([3.5, 12])
    await eventually(async () => expect(await latest(meter)).toEqual({ pressure: 3.5, flow: 12 }))
    await client.endAsync()
  })

  test("by_http_is_answered_when_it_is_stored", async () => {
    const meter = await device("samarkand", "meter-2")
    const at = Date.now() - 5000
    const answer = await fetch(`${kit.url}/api/v1/${meter.token}/telemetry`, {
      method: "POST",
      body: JSON.stringify([
        { ts: at, values: { pressure: 1 } },
        { ts: at + 1000, values: { pressure: 2 } }
      ])
    })
    expect([answer.status, answer.headers.get("mahalla-outcome")]).toEqual([200, "stored"])
    await eventually(async () => expect(await latest(meter)).toEqual({ pressure: 2, flow: null }))
    const { body: streams } = await meter.admin.get(`/v1/devices/${meter.id}/datastreams`)
    const { datastreamId } = streams.items.find(({ key }: { key: string }) => key === "pressure")
    const span = `from=${new Date(at - 1000).toISOString()}&to=${new Date(at + 60_000).toISOString()}`
    const { body: readings } = await meter.admin.get(`/v1/datastreams/${datastreamId}/readings?${span}&limit=1`)
    expect(readings.items.map(({ value }: { value: number }) => value)).toEqual([1])
    const { body: next } = await meter.admin.get(
      `/v1/datastreams/${datastreamId}/readings?${span}&limit=1&cursor=${readings.cursor}`
    )
    expect(next.items.map(({ value }: { value: number }) => value)).toEqual([2])
    expect(next.cursor).toBeUndefined()
    const { body: chart } = await meter.admin.get(`/v1/datastreams/${datastreamId}/chart?${span}`)
    expect(chart).toMatchObject({ unit: "bar", resolution: "reading" })
    expect(chart.points.map(({ value }: { value: number }) => value)).toEqual([1, 2])
    await eventually(async () => {
      const { body } = await meter.admin.get(`/v1/datastreams/${datastreamId}/intervals?${span}&interval=60`)
      expect(body.items.reduce((sum: number, one: { readings: number }) => sum + one.readings, 0)).toBe(2)
    })
    const csv = await fetch(`${kit.url}/t/samarkand/v1/datastreams/${datastreamId}/readings.csv?${span}`, {
      headers: { authorization: meter.admin.headers["authorization"]! }
    })
    expect((await csv.text()).split("\r\n").slice(0, 3)).toEqual([
      "at,value,sequence,quality",
      `${new Date(at).toISOString()},1,0,0`,
      `${new Date(at + 1000).toISOString()},2,0,0`
    ])
  })

  test("that_cannot_be_used_is_told_to_its_sender_and_can_be_tried_again_when_the_profile_was_mended", async () => {
    const meter = await device("samarkand", "meter-3")
    const answer = await fetch(`${kit.url}/api/v1/${meter.token}/telemetry`, {
      method: "POST",
      body: JSON.stringify({ level: 4 })
    })
    expect(answer.status).toBe(422)
    expect(await answer.json()).toMatchObject({ type: "urn:mahalla:problem:unusable" })
    const letters = await meter.admin.get(`/v1/readings/dead-letters?deviceId=${meter.id}`)
    expect(letters.body.items).toMatchObject([{ reason: "unknown-datastream", device: "meter-3", replayedAt: null }])
    const { body: own } = await meter.admin.get(`/v1/devices/${meter.id}`)
    const { body: profile } = await meter.admin.get(`/v1/device-profiles/${own.profileId}`)
    const mended = {
      ...profile.definition,
      datastreams: [...profile.definition.datastreams, { key: "level", title: "Level", unit: "m" }]
    }
    expect(
      (await meter.admin.call("PATCH", `/v1/device-profiles/${profile.id}`, { body: { definition: mended } })).status
    ).toBe(200)
    const { body: replayed } = await meter.admin.post("/v1/readings/dead-letters/replay", { deviceId: meter.id })
    expect(replayed).toEqual({ tried: 1, stored: 1 })
    await eventually(async () => expect(await latest(meter)).toMatchObject({ level: 4 }))
  })

  test("of_a_network_comes_by_chirpstacks_webhook_as_chirpstack_calls_it", async () => {
    const gateway = await device("samarkand", "lorawan")
    await gateway.admin.call("PATCH", `/v1/devices/${gateway.id}`, { body: { gateway: true } })
    const { body: own } = await gateway.admin.get(`/v1/devices/${gateway.id}`)
    const devEui = "0102030405060708"
    const child = await gateway.admin.post("/v1/devices", {
      name: devEui,
      profileId: own.profileId,
      parentId: gateway.id
    })
    expect(child.status).toBe(201)
    const say = (event: string, body: object) =>
      fetch(`${kit.url}/ingest/chirpstack?event=${event}`, {
        method: "POST",
        headers: { authorization: `Bearer ${gateway.token}`, "content-type": "application/json" },
        body: JSON.stringify({ deviceInfo: { devEui }, time: new Date().toISOString(), ...body })
      })
    expect((await say("up", { fCnt: 1, fPort: 2, object: { pressure: 6 } })).status).toBe(200)
    expect((await say("status", { margin: 7, batteryLevel: 55 })).status).toBe(200)
    expect((await say("nonsense", { fCnt: 2 })).status).toBe(422)
    await eventually(async () =>
      expect(await latest({ admin: gateway.admin, id: child.body.id })).toMatchObject({ pressure: 6 })
    )
    const { body } = await gateway.admin.get(`/v1/devices/${child.body.id}`)
    expect(body).toMatchObject({ battery: 55, attributes: { margin: 7 } })
  })

  test("of_a_user_name_that_many_cities_have_is_the_one_whose_password_was_shown", async () => {
    const meter = await device("samarkand", "meter-many")
    const { body: made } = await meter.admin.post(`/v1/devices/${meter.id}/credentials`, {
      credential: { kind: "basic", user: "pump-many" }
    })
    const { profileId } = (await meter.admin.get(`/v1/devices/${meter.id}`)).body
    // Before ours, in any order that comes to mind.
    await kit.sql(
      `
      with many as (
        insert into mahalla.tenant select (jsonb_populate_record(t, jsonb_build_object('tenant_id', md5('many' || n)::uuid, 'slug', 'many-' || n))).*
        from mahalla.tenant t, generate_series(1, 30) n where t.slug = 'samarkand' returning tenant_id
      ), profiles as (
        insert into mahalla.device_profile select (jsonb_populate_record(p, jsonb_build_object('tenant_id', m.tenant_id))).*
        from many m, mahalla.device_profile p where p.id = $1 returning tenant_id
      ), devices as (
        insert into mahalla.device select (jsonb_populate_record(d, jsonb_build_object('tenant_id', m.tenant_id))).*
        from profiles m, mahalla.device d where d.id = $2 returning tenant_id
      )
      insert into mahalla.device_credential select (jsonb_populate_record(c, jsonb_build_object('tenant_id', m.tenant_id, 'secret', '\\x00'))).*
      from devices m, mahalla.device_credential c where c.id = $3`,
      [profileId, meter.id, made.id]
    )
    const client = await connectAsync(broker, { username: "pump-many", password: made.password })
    await client.endAsync()
  })

  test("with_a_wrong_or_revoked_token_is_refused", async () => {
    const meter = await device("samarkand", "meter-4")
    const wrong = await kit.samarkand.visitor.post(`/api/v1/${"x".repeat(32)}/telemetry`, { pressure: 1 })
    expectProblem("wrong token", wrong, { status: 401, type: "unauthorized" })
    expect((await meter.admin.call("DELETE", `/v1/devices/${meter.id}/credentials/${meter.credentialId}`)).status).toBe(
      204
    )
    const revoked = await kit.samarkand.visitor.post(`/api/v1/${meter.token}/telemetry`, { pressure: 1 })
    expectProblem("revoked token", revoked, { status: 401, type: "unauthorized" })
  })

  test("comes_at_odd_addresses_and_of_odd_types_without_a_failure_of_ours", async () => {
    const meter = await device("samarkand", "meter-6")
    const odd = await kit.samarkand.visitor.post("/api/v1/%zz/telemetry", { pressure: 1 })
    expectProblem("odd token", odd, { status: 401, type: "unauthorized" })
    const typed = await kit.samarkand.visitor.call("POST", "/ingest/readings", {
      body: { pressure: 2 },
      headers: { authorization: `Bearer ${meter.token}`, "content-type": "constructor" }
    })
    expect(typed.status).toBe(200)
  })

  test("in_a_large_message_is_not_kept_in_one_piece_with_other_large_ones", async () => {
    const meter = await device("samarkand", "meter-7")
    const note = randomBytes(600_000).toString("base64")
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => kit.samarkand.visitor.post(`/api/v1/${meter.token}/attributes`, { note }))
    )
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 422))
    const [row] = await kit.sql<{ size: number }>(
      "select max(octet_length(body))::int as size from mahalla.raw_message"
    )
    expect(row!.size).toBeLessThan(1_000_000)
  })

  test("that_cannot_be_used_comes_again_in_a_minute_where_too_many_are_kept_already", async () => {
    const meter = await device("samarkand", "meter-of-nonsense")
    const post = async () => {
      const answer = await fetch(`${kit.url}/api/v1/${meter.token}/telemetry`, { method: "POST", body: "{" })
      await answer.body?.cancel()
      return `${answer.status} ${answer.headers.get("retry-after")}`
    }
    const answers: Array<string> = []
    while (answers.length < 5_000 && !answers.includes("429 60"))
      answers.push(...(await Promise.all(Array.from({ length: 100 }, post))))
    expect(new Set(answers)).toEqual(new Set(["422 null", "429 60"]))
    const [kept] = await kit.sql<{ amount: number }>(
      "select count(*)::int as amount from mahalla.dead_letter where device = 'meter-of-nonsense'"
    )
    expect(kept!.amount).toBe(answers.filter((answer) => answer === "422 null").length)
  })

  test("of_another_city_is_nobodys_business", async () => {
    const meter = await device("bukhara", "meter-1")
    const { staff } = kit.samarkand
    for (const path of [
      `/v1/devices/${meter.id}`,
      `/v1/devices/${meter.id}/datastreams`,
      `/v1/devices/${meter.id}/commands`
    ])
      expect((await staff["municipality-admin"].get(path)).status).toBe(404)
    const { body } = await staff["municipality-admin"].post("/v1/readings/latest", { devices: [meter.id] })
    expect(body.items).toEqual([])
    const elsewhere = await kit.samarkand.visitor.post(`/api/v1/${meter.token}/telemetry`, { pressure: 1 })
    expect(elsewhere.status).toBe(401)
  })

  test("of_a_command_goes_to_the_device_and_its_answer_comes_back", async () => {
    const meter = await device("samarkand", "meter-5")
    const client = await connectAsync(broker, { username: meter.token })
    const asked = new Promise<{ readonly topic: string; readonly body: unknown }>((resolve) =>
      client.once("message", (topic, payload) => resolve({ topic, body: JSON.parse(payload.toString()) }))
    )
    await client.subscribeAsync("v1/devices/me/rpc/request/+", { qos: 1 })
    const { body: command } = await meter.admin.post(`/v1/devices/${meter.id}/commands`, {
      method: "closeValve",
      params: { percent: 100 }
    })
    expect(command.state).toBe("queued")
    const { body, topic } = await asked
    expect(body).toMatchObject({ method: "closeValve", params: { percent: 100 } })
    await client.publishAsync(topic.replace("request", "response"), JSON.stringify({ done: true }), { qos: 1 })
    await eventually(async () => {
      const { body: now } = await meter.admin.get(`/v1/devices/${meter.id}/commands/${command.id}`)
      expect(now).toMatchObject({ state: "answered", answer: { done: true } })
    })
    await client.endAsync()
  })
})
