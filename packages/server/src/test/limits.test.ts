/** What is limited, how an answer tells it, and what holds while limits cannot be counted. */
import { Limiter, LimiterError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit, wrapped } from "./cityKit.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let away = false
const gone = new LimiterError({
  reason: "Unavailable",
  operation: "take",
  subject: "all",
  message: "The store is away.",
  retryable: true
})

beforeAll(async () => {
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    limiter: (plugin) =>
      wrapped(plugin, Limiter, ({ take }) => ({ take: (request) => (away ? Effect.fail(gone) : take(request)) }))
  })
})
afterAll(() => kit?.close())

describe("limited routes", () => {
  test("say_what_is_allowed_and_what_is_left", async () => {
    const { visitor } = kit.samarkand
    const answer = await visitor.post("/v1/auth/link", { token: "x".repeat(43) })
    expect(answer.status).toBe(401)
    expect(answer.headers.get("ratelimit-policy")).toBe('"link-ip";q=30;w=600')
    expect(answer.headers.get("ratelimit")).toBe('"link-ip";r=29;t=20')
    expect((await visitor.get("/v1/case-types")).headers.get("ratelimit")).toBeNull()
  })

  test("refuse_with_429_and_say_when_to_come_back", async () => {
    const from = kit.samarkand.visitor.with({ "x-forwarded-for": "198.51.100.7" })
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => from.post("/v1/auth/link", { token: "y".repeat(43) }))
    )
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(30)
    const refused = await from.post("/v1/auth/link", { token: "y".repeat(43) })
    expectProblem("too many", refused, { status: 429, type: "too-many-requests" })
    const wait = Number(refused.headers.get("retry-after"))
    expect(wait > 0 && wait <= 20).toBe(true)
    expect(refused.headers.get("ratelimit")).toBe(`"link-ip";r=0;t=${wait}`)
  })

  test("case_18_leave_the_owners_device_its_own_share_of_codes", async () => {
    const { staff, visitor } = kit.samarkand
    const phone = "+998901230018"
    const ask = (device?: string) =>
      visitor.post("/v1/auth/code", { phone, ...(device === undefined ? {} : { device }) })
    expect((await ask()).status).toBe(202)
    const { body } = await staff["municipality-admin"].get(`/v1/outbox?to=${encodeURIComponent(phone)}`)
    const code = /\b\d{6}\b/.exec(body.items.at(-1).text)![0]
    const { device } = (await visitor.post("/v1/auth/session", { phone, code })).body
    // A stranger uses up what is sent to the number; the day's share is no more than two such hours.
    const answers = await Promise.all(Array.from({ length: 12 }, () => ask()))
    expect(answers.some(({ body: { detail } }) => /Too many codes were sent to this number/.test(detail))).toBe(true)
    expect((await ask(device)).status).toBe(202)
    expect((await ask(`mdv_${"A".repeat(43)}`)).status).toBe(429)
  })

  test("tell_it_to_browsers_of_allowed_origins", async () => {
    const answer = await kit.samarkand.visitor.get("/v1/case-types", { origin: "https://app.example" })
    const exposed = answer.headers.get("access-control-expose-headers")?.split(", ")
    expect(exposed).toEqual(expect.arrayContaining(["ratelimit", "ratelimit-policy", "retry-after"]))
  })

  test("are_in_the_API_document_with_their_headers", async () => {
    const { body } = await kit.samarkand.visitor.get("/openapi.json")
    for (const [path, method] of [
      ["/v1/auth/code", "post"],
      ["/v1/auth/session", "post"],
      ["/v1/auth/link", "post"],
      ["/v1/cases", "get"],
      ["/v1/cases.csv", "get"],
      ["/v1/cases/traffic-report", "post"],
      ["/v1/audit/export", "get"]
    ] as const) {
      const { responses } = body.paths[path][method]
      expect([path, Object.keys(responses["429"]?.headers ?? {})]).toEqual([
        path,
        ["RateLimit", "RateLimit-Policy", "Retry-After"]
      ])
      const good = Object.keys(responses).find((status) => status.startsWith("2"))!
      expect(Object.keys(responses[good].headers)).toEqual(["RateLimit", "RateLimit-Policy"])
    }
  })

  test("refuse_to_send_codes_while_limits_cannot_be_counted_and_go_on_reading", async () => {
    const citizen = await kit.samarkand.citizen("+998901230001")
    const auditor = kit.samarkand.staff.auditor
    away = true
    try {
      const code = await kit.samarkand.visitor.post("/v1/auth/code", { phone: "+998901230002" })
      expectProblem("a code", code, { status: 503, type: "unavailable" })
      expect(code.headers.get("retry-after")).toBe("5")
      expect((await citizen.get("/v1/cases?q=light")).status).toBe(200)
      expect((await auditor.get("/v1/cases.csv")).status).toBe(200)
      expect((await auditor.get("/v1/audit/export")).status).toBe(200)
    } finally {
      away = false
    }
    expect((await kit.samarkand.visitor.post("/v1/auth/code", { phone: "+998901230002" })).status).toBe(202)
  })
})
