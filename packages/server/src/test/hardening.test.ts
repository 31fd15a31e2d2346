/** What browsers are told with every answer, other sites' requests, and requests that are made to be misread. */
import { createHash } from "node:crypto"
import { connect } from "node:net"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit, picture } from "./cityKit.ts"
import { rawCall, upload } from "./client.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit

beforeAll(async () => {
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    config: {
      // A host application that knows people by a cookie.
      login: async ({ headers }) => (/session=1/.test(headers["cookie"] ?? "") ? { externalId: "somebody" } : null)
    }
  })
})
afterAll(() => kit?.close())

/** Sends bytes as they are; the answer as text, once the server closes. */
const raw = (text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(kit.url).port), "127.0.0.1", () => socket.write(text))
    let answer = ""
    socket.on("data", (chunk) => (answer += chunk.toString("latin1")))
    socket.on("close", () => resolve(answer))
    socket.on("error", reject)
    socket.setTimeout(10_000, () => socket.destroy(new Error(`The connection stays open after: ${answer}`)))
  })

describe("pages of an allowed origin", () => {
  test("may_send_every_header_that_some_address_takes", async () => {
    const { visitor } = kit.samarkand
    const preflight = await visitor.call("OPTIONS", "/v1/me", {
      headers: { origin: "https://app.example", "access-control-request-method": "DELETE" }
    })
    const allowed = preflight.headers.get("access-control-allow-headers")!.split(", ")
    const { body } = await visitor.get("/openapi.json")
    const named = Object.values(body.paths as Record<string, Record<string, { parameters?: ReadonlyArray<object> }>>)
      .flatMap((item) => Object.values(item).flatMap(({ parameters = [] }) => parameters))
      .flatMap((one) => ("in" in one && "name" in one && one.in === "header" ? [String(one.name).toLowerCase()] : []))
    expect(named).toContain("confirmation-code")
    expect(allowed).toEqual(expect.arrayContaining([...named, "authorization", "dpop"]))
  })
})

describe("security headers", () => {
  test("stand_on_every_answer_good_or_bad", async () => {
    const citizen = await kit.samarkand.citizen("+998901450001")
    const { id } = await upload(citizen, picture(), "photo.jpg")
    const answers = {
      json: await citizen.get("/v1/me"),
      problem: await citizen.get("/v1/nothing"),
      invalid: await citizen.post("/v1/cases/traffic-report", "{"),
      unauthorized: await citizen.get("/v1/me", { authorization: "Bearer x" }),
      preflight: await citizen.call("OPTIONS", "/v1/me", {
        headers: { origin: "https://evil.example", "access-control-request-method": "GET" }
      }),
      upload: await citizen.get(`/v1/uploads/${id}`),
      health: await citizen.get("/health/live"),
      metrics: await citizen.get("/metrics"),
      document: await citizen.get("/openapi.json"),
      keys: await citizen.get("/.well-known/jwks.json"),
      page: await citizen.get("/docs")
    }
    for (const [name, { headers }] of Object.entries(answers)) {
      const of = (header: string) => headers.get(header)
      expect([name, of("x-content-type-options"), of("x-frame-options"), of("referrer-policy")]).toEqual([
        name,
        "nosniff",
        "DENY",
        "no-referrer"
      ])
      expect([name, of("cross-origin-resource-policy")]).toEqual([name, "same-origin"])
      expect(of("content-security-policy")).toMatch(/default-src 'none'.*frame-ancestors 'none'/)
      expect([name, of("server"), of("x-powered-by")]).toEqual([name, null, null])
    }
  })

  test("let_a_page_run_its_own_scripts_and_nothing_else", async () => {
    for (const path of ["/docs", "/sign-in"]) {
      const { headers, text } = await kit.samarkand.visitor.get(path)
      const policy = headers.get("content-security-policy")!
      const script = /<script>([\s\S]*?)<\/script>/.exec(text)?.[1]
      const hash = script === undefined ? "'none'" : `'sha256-${createHash("sha256").update(script).digest("base64")}'`
      expect(policy).toContain(`script-src ${hash};`)
      expect(policy).not.toContain("unsafe")
      expect(/ on\w+=|javascript:| style="/i.test(text)).toBe(false)
      expect(headers.get("cross-origin-opener-policy")).toBe("same-origin")
      expect(headers.get("permissions-policy")).toContain("geolocation=()")
    }
  })

  test("insist_on_https_where_the_city_has_it", async () => {
    const header = async (headers: Record<string, string>) =>
      (await kit.samarkand.visitor.get("/v1/city", headers)).headers.get("strict-transport-security")
    expect(await header({})).toBeNull()
    expect(await header({ "x-forwarded-proto": "https" })).toBe("max-age=31536000")
  })
})

describe("origins", () => {
  const preflight = (origin: string) =>
    kit.samarkand.visitor.call("OPTIONS", "/v1/me", { headers: { origin, "access-control-request-method": "PATCH" } })

  test("are_the_tenants_to_allow_and_never_come_with_cookies", async () => {
    const good = await preflight("https://app.example")
    expect([good.status, good.headers.get("access-control-allow-origin")]).toEqual([204, "https://app.example"])
    expect(good.headers.get("access-control-allow-methods")).toContain("PATCH")
    for (const origin of ["https://evil.example", "null", "https://app.example.evil.example", "http://app.example"]) {
      const answer = await preflight(origin)
      expect([origin, answer.headers.get("access-control-allow-origin")]).toEqual([origin, null])
    }
    expect(good.headers.get("access-control-allow-credentials")).toBeNull()
    expect((await kit.samarkand.visitor.get("/v1/city")).headers.get("vary")).toBe("origin")
  })
})

describe("CSRF", () => {
  const change = (headers: Record<string, string>) =>
    rawCall(
      kit.url,
      "PATCH",
      "/t/samarkand/v1/me",
      { cookie: "session=1", "content-type": "application/json", "content-length": "15", ...headers },
      '{"name":"Evil"}'
    )
  // Names are sealed: what came of it is read as its owner reads it.
  const name = async () =>
    ((await kit.samarkand.visitor.with({ cookie: "session=1" }).get("/v1/me")).body as { name: string | null }).name

  test("another_sites_request_in_the_name_of_a_cookie_changes_nothing", async () => {
    for (const headers of [
      { "sec-fetch-site": "cross-site", origin: "https://evil.example" },
      { "sec-fetch-site": "same-site", origin: "https://x.localhost" },
      { origin: "https://evil.example" },
      { origin: "null" }
    ])
      expectProblem("of another site", await change(headers as Record<string, string>), {
        status: 403,
        type: "cross-site"
      })
    expect(await name()).not.toBe("Evil")
    expect((await change({ "sec-fetch-site": "same-origin" })).status).toBe(200)
    expect(await name()).toBe("Evil")
  })
})

describe("case 27, framing", () => {
  const get = (lines: ReadonlyArray<string>, body = "") =>
    raw([`GET /t/samarkand/v1/city HTTP/1.1`, ...lines, "", body].join("\r\n"))
  const post = (lines: ReadonlyArray<string>, body: string) =>
    raw([`POST /t/samarkand/v1/auth/link HTTP/1.1`, "host: x", ...lines, "", body].join("\r\n"))
  const smuggled = "GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"

  test("smuggling_a_second_request_behind_two_lengths_is_refused", async () => {
    for (const lines of [
      ["content-length: 6", "transfer-encoding: chunked"],
      ["transfer-encoding: chunked", "content-length: 6"],
      ["content-length: 0", "content-length: 70"],
      ["content-length: 0, 70"],
      ["content-length: +5"],
      ["transfer-encoding: chunked, identity"],
      ["transfer-encoding: identity"],
      ["transfer-encoding: xchunked"],
      ["transfer-encoding : chunked"],
      ["transfer-encoding: chunked", "transfer-encoding: identity"],
      ["x: y\n transfer-encoding: chunked"]
    ]) {
      const answer = await post(["content-type: application/json", ...lines], `0\r\n\r\n${smuggled}`)
      expect([lines.join(), answer.split("\r\n")[0]]).toEqual([lines.join(), "HTTP/1.1 400 Bad Request"])
      expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1)
    }
  })

  test("a_header_that_says_two_things_is_refused", async () => {
    for (const lines of [
      ["host: city.example", "host: evil.example"],
      ["host: x", "authorization: Bearer a", "authorization: Bearer b"],
      ["host: x", "origin: https://app.example", "origin: https://evil.example"]
    ])
      expect((await get(lines)).split("\r\n")[0]).toBe("HTTP/1.1 400 Bad Request")
    expect((await get([])).split("\r\n")[0]).toBe("HTTP/1.1 400 Bad Request")
    const old = await raw("POST /v1/city HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")
    expect(old.split("\r\n")[0]).toMatch(/ 400 /)
  })

  test("headers_too_many_or_too_large_are_refused", async () => {
    const many = Array.from({ length: 101 }, (_, n) => `x-${n}: y`)
    expect((await get(["host: x", ...many])).split("\r\n")[0]).toBe("HTTP/1.1 431 Request Header Fields Too Large")
    const large = await get(["host: x", `x: ${"y".repeat(20_000)}`])
    expect(large.split("\r\n")[0]).toBe("HTTP/1.1 431 Request Header Fields Too Large")
    const fine = await get(["host: x", "connection: close", ...many.slice(0, 90)])
    expect(fine.split("\r\n")[0]).toBe("HTTP/1.1 200 OK")
  })
})
