/** What staff is alerted to, from the door that is tried to the screen on which it is acknowledged. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit, picture, report, reportBody } from "./cityKit.ts"
import { type Client, newKey, until, upload } from "./client.ts"

let kit: CityKit
let officer: Client & { readonly id: string }

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  officer = await kit.samarkand.staffMember(["security-officer"])
})
afterAll(() => kit?.close())

interface AlertView {
  readonly id: string
  readonly state: string
  readonly data: {
    readonly kind: string
    readonly severity: string
    readonly summary: string
    readonly originator: string
  }
}
const alerts = async (kind: string) =>
  ((await officer.get("/v1/cases?type=security-alert&limit=200")).body.items as ReadonlyArray<AlertView>).filter(
    ({ data }) => data.kind === kind
  )
const alert = (kind: string) => until(`an alert ${kind}`, async () => (await alerts(kind))[0])

describe("alerts", () => {
  test("tell_staff_of_wrong_codes_for_one_number_and_are_acknowledged_and_cleared", async () => {
    const phone = "+998901340001"
    const { visitor } = kit.samarkand
    for (let n = 0; n < 12; n++) {
      const from = { "x-forwarded-for": `203.0.${n}.7` }
      expect((await visitor.post("/v1/auth/session", { phone, code: "000000" }, from)).status).toBe(401)
    }
    const { data, id } = await alert("failed-sign-ins")
    expect(data).toMatchObject({ severity: "medium", summary: expect.stringMatching(/ends in 01\.$/) })
    expect(JSON.stringify(data)).not.toContain(phone)
    const take = (transition: string, client: Client = officer) =>
      client.post(`/v1/cases/security-alert/${id}/transitions/${transition}`)
    expect((await take("acknowledge", kit.samarkand.staff.dispatcher)).status).toBe(403)
    expect((await take("acknowledge")).body.state).toBe("acknowledged")
    expect((await take("clear")).body).toMatchObject({ state: "closed", data: { times: 2 } })
    expect(await kit.sql("select from mahalla.security_alert where case_id = $1", [id])).toEqual([])
  })

  test("tell_staff_when_two_people_send_the_same_clip", async () => {
    const bytes = picture()
    const send = async (client: Client) => {
      const { answer, id } = await upload(client, bytes, "photo.jpg")
      expect(answer.status).toBe(201)
      return client.post("/v1/cases/traffic-report", reportBody([id]), { "idempotency-key": newKey() })
    }
    const one = await kit.samarkand.citizen("+998901340002")
    expect((await send(one)).status).toBe(201)
    expect((await send(one)).status).toBe(201)
    const again = await alert("clip-again")
    expect(again.data).toMatchObject({
      severity: "low",
      summary: expect.stringMatching(/^A file that stands in a report/)
    })
    await report(await kit.samarkand.citizen("+998901340003"))
    expect((await send(await kit.samarkand.citizen("+998901340004"))).status).toBe(201)
    const { data } = await alert("same-clip")
    expect(data.summary).toMatch(/^2 people have sent the same file/)
    expect(await alerts("same-clip")).toHaveLength(1)
  })

  test("reach_those_who_may_acknowledge_them_as_messages", async () => {
    await kit.sql("update mahalla.principal set phone = '+998901349999' where id = $1", [officer.id])
    const { visitor } = kit.samarkand
    for (let n = 0; n < 42; n++) {
      const from = { "x-forwarded-for": `192.0.2.${n}` }
      await visitor.post(
        "/v1/auth/session",
        { phone: `+9989013500${String(n).padStart(2, "0")}`, code: "000000" },
        from
      )
    }
    const told = await until("a message to the officer", async () => {
      const { body } = await kit.samarkand.staff["municipality-admin"].get(
        `/v1/outbox?to=${encodeURIComponent("+998901349999")}`
      )
      return (body.items as ReadonlyArray<{ text: string }>).at(-1)?.text
    })
    expect(told).toMatch(/^Security alert [\w-]{9}: received\.$/)
  })

  test("are_nobodys_elses_business", async () => {
    const citizen = await kit.samarkand.citizen("+998901340005")
    const { id } = (await alerts("same-clip"))[0]!
    for (const client of [citizen, kit.samarkand.visitor, kit.bukhara.staff["municipality-admin"]]) {
      expect((await client.get(`/v1/cases/security-alert/${id}`)).status).toBe(404)
      const { body, status } = await client.get("/v1/cases?type=security-alert")
      expect(status === 200 ? body.items : []).toEqual([])
    }
    const made = await kit.samarkand.staff["municipality-admin"].post("/v1/cases/security-alert", { data: {} })
    expect(made.body.code).toBe("not-creatable")
  })
})
