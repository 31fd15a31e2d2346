/** Headers that mean nothing, tokens of no worth, rights that somebody does not have and states from which there is no way. */
import { createHmac } from "node:crypto"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { makeClient, newKey, rawCall, upload } from "./client.ts"
import { type CityKit, picture, place, reportBody } from "./cityKit.ts"
import { expectProblem } from "./problem.ts"
import { hold, openRoom, type Room } from "./room.ts"

let kit: CityKit
let citizen: Room["citizen"]
let neighbour: Room["neighbour"]
let reported: Room["reported"]

beforeAll(async () => {
  ;({ kit, citizen, neighbour, reported } = await openRoom(inject("postgresUrl")))
})
afterAll(() => kit?.close())

const path = () => `/v1/cases/traffic-report/${reported.id}`
const violationPath = () => `/v1/cases/traffic-violation/${reported.violation}`

describe("headers", () => {
  const { inspector } = { inspector: () => kit.samarkand.staff.inspector }
  const accept = (headers: Readonly<Record<string, string>>) =>
    inspector().post(`${violationPath()}/transitions/accept`, { plate: "01A777AA" }, headers)

  test(
    "that_mean_nothing_are_refused",
    hold(() => [
      ["If-Match of words", () => accept({ "if-match": "latest" }), 400, "invalid-input", ["#headers/if-match"]],
      ["If-Match without quotes", () => accept({ "if-match": "3" }), 400, "invalid-input", ["#headers/if-match"]],
      [
        "If-Match of the last century",
        () => accept({ "if-match": '"99999999999999999999"' }),
        400,
        "invalid-input",
        ["#headers/if-match"]
      ],
      ["If-Match that is stale", () => accept({ "if-match": '"999"' }), 412, "version-conflict"],
      ["If-Match below all", () => accept({ "if-match": '"0"' }), 412, "version-conflict"],
      [
        "Idempotency-Key with spaces",
        () => accept({ "idempotency-key": "a b" }),
        400,
        "invalid-input",
        ["#headers/idempotency-key"]
      ],
      [
        "Idempotency-Key too long",
        () => accept({ "idempotency-key": "k".repeat(256) }),
        400,
        "invalid-input",
        ["#headers/idempotency-key"]
      ],
      [
        "Idempotency-Key of no ASCII",
        () => accept({ "idempotency-key": "kéy" }),
        400,
        "invalid-input",
        ["#headers/idempotency-key"]
      ],
      [
        "tus of another version",
        () => citizen.call("POST", "/v1/uploads", { headers: { "tus-resumable": "0.2.2" } }),
        412,
        "tus-version"
      ]
    ])
  )

  test("cannot_choose_what_we_write_into_ours", async () => {
    const given = await citizen.get("/v1/me", { "x-request-id": "request-of-a-phone.42" })
    expect(given.headers.get("x-request-id")).toBe("request-of-a-phone.42")
    for (const id of ["short", "x".repeat(65), "<script>alert(1)</script>", "with space in it", '{"a":1}aaaaa']) {
      const answer = await citizen.get("/v1/nothing", { "x-request-id": id })
      expect(answer.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/)
      expect(answer.text).not.toContain(id)
    }
    const injected = await rawCall(kit.url, "GET", "/t/samarkand/v1/case-types/a%0d%0aset-cookie:%20x=1", {})
    expect(injected.headers.get("set-cookie")).toBeNull()
    expectProblem("line ends in the path", injected, { status: 404, type: "not-found" })
    const origin = await citizen.get("/v1/city", { origin: "https://evil.example" })
    expect(origin.headers.get("access-control-allow-origin")).toBeNull()
    const good = await citizen.get("/v1/city", { origin: "https://app.example" })
    expect(good.headers.get("access-control-allow-origin")).toBe("https://app.example")
  })

  test("that_are_huge_do_not_reach_us", async () => {
    const answer = await rawCall(kit.url, "GET", "/t/samarkand/v1/city", { "x-filler": "x".repeat(60_000) })
    expect(answer.status).toBe(431)
    expect((await citizen.get("/v1/city")).status).toBe(200)
  })

  test("of_an_idempotent_request_hold_the_body_to_the_key", async () => {
    const key = { "idempotency-key": newKey() }
    const [one, two] = [await upload(neighbour, picture(), "a.jpg"), await upload(neighbour, picture(), "b.jpg")]
    const first = await neighbour.post("/v1/cases/traffic-report", reportBody([one.id], { moment: 1 }), key)
    expect(first.status).toBe(201)
    const other = await neighbour.post("/v1/cases/traffic-report", reportBody([two.id], { moment: 2 }), key)
    expectProblem("another body", other, { status: 422, type: "idempotency-key-reused" })
    const list = await neighbour.get("/v1/cases?type=traffic-report")
    expect(list.body.items).toHaveLength(1)
  })
})

describe("tokens", () => {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")

  test("of_no_worth_open_nothing_and_all_get_one_answer", async () => {
    const [header, claims, signature] = citizen.headers["authorization"]!.slice(7).split(".") as [
      string,
      string,
      string
    ]
    const body = JSON.parse(Buffer.from(claims, "base64url").toString()) as Record<string, unknown>
    const head = JSON.parse(Buffer.from(header, "base64url").toString()) as Record<string, unknown>
    const admin = { ...body, sub: kit.samarkand.staff["municipality-admin"].id }
    const hs = (input: string) => createHmac("sha256", "").update(input).digest("base64url")
    const jwks = await citizen.get("/.well-known/jwks.json")
    const asSecret = (input: string) => createHmac("sha256", jwks.text).update(input).digest("base64url")
    const tokens: Record<string, string> = {
      "another subject": `${header}.${part(admin)}.${signature}`,
      "alg none": `${part({ ...head, alg: "none" })}.${claims}.`,
      "alg none with a signature": `${part({ ...head, alg: "none" })}.${part(admin)}.${signature}`,
      "alg NONE": `${part({ ...head, alg: "NONE" })}.${part(admin)}.`,
      "HS256 with no secret": `${part({ ...head, alg: "HS256" })}.${part(admin)}.${hs(`${part({ ...head, alg: "HS256" })}.${part(admin)}`)}`,
      "HS256 with our public keys": `${part({ ...head, alg: "HS256" })}.${part(admin)}.${asSecret(`${part({ ...head, alg: "HS256" })}.${part(admin)}`)}`,
      "another key": `${part({ ...head, kid: "another" })}.${claims}.${signature}`,
      "a key in the header": `${part({ ...head, jwk: { kty: "oct", k: "AAAA" } })}.${claims}.${signature}`,
      "a longer life": `${header}.${part({ ...body, exp: 9_999_999_999 })}.${signature}`,
      "a cut signature": `${header}.${claims}.${signature.slice(0, -4)}`,
      "no signature": `${header}.${claims}`,
      "not one at all": "abc",
      "a very long one": "x".repeat(8_000)
    }
    const texts = new Set<string>()
    for (const [name, token] of Object.entries(tokens)) {
      const answer = await citizen.with({ authorization: `Bearer ${token}` }).get("/v1/me")
      expectProblem(name, answer, { status: 401, type: "unauthorized" })
      expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer/)
      texts.add(String(answer.body.detail))
    }
    expect(texts.size).toBe(1)
  })

  test(
    "in_another_form_or_of_another_city_are_refused",
    hold(() => [
      ["Basic", () => citizen.with({ authorization: "Basic YTpi" }).get("/v1/me"), 401, "unauthorized"],
      ["empty", () => citizen.with({ authorization: "Bearer " }).get("/v1/me"), 401, "unauthorized"],
      ["two", () => citizen.with({ authorization: "Bearer a b" }).get("/v1/me"), 401, "unauthorized"],
      ["another city's", () => makeClient(`${kit.url}/t/bukhara`, citizen.headers).get("/v1/me"), 401, "unauthorized"],
      [
        "at uploads",
        () => citizen.with({ authorization: "Bearer x" }).call("POST", "/v1/uploads"),
        401,
        "unauthorized"
      ],
      ["at the feed", () => citizen.with({ authorization: "Bearer x" }).get("/v1/events"), 401, "unauthorized"],
      ["a link that is none", () => citizen.post("/v1/auth/link", { token: "x".repeat(43) }), 401, "sign-in-refused"],
      [
        "a phone that is none",
        () => citizen.post("/v1/auth/code", { phone: "0901234567" }),
        400,
        "invalid-input",
        ["/phone"]
      ],
      [
        "a code of letters",
        () => citizen.post("/v1/auth/session", { phone: "+998901234567", code: "12345a" }),
        400,
        "invalid-input",
        ["/code"]
      ]
    ])
  )

  test("of_somebody_who_was_blocked_end_at_once", async () => {
    const person = await kit.samarkand.citizen("+998901000009")
    expect((await person.get("/v1/me")).status).toBe(200)
    await kit.sql("update mahalla.principal set status = 'blocked' where id = $1", [person.id])
    expectProblem("blocked", await person.get("/v1/me"), { status: 401, type: "unauthorized" })
  })
})

describe("rights and states", () => {
  const reason = { reason: "not a violation" }
  test(
    "are_kept_at_every_transition",
    hold(() => [
      ["a citizen decides", () => citizen.post(`${violationPath()}/transitions/accept`, {}), 403, "forbidden"],
      ["a neighbour withdraws", () => neighbour.post(`${path()}/transitions/withdraw`), 404, "not-found"],
      ["a visitor withdraws", () => kit.samarkand.visitor.post(`${path()}/transitions/withdraw`), 404, "not-found"],
      [
        "an inspector withdraws",
        () => kit.samarkand.staff.inspector.post(`${path()}/transitions/withdraw`),
        403,
        "forbidden"
      ],
      ["an appeal before the decision", () => citizen.post(`${path()}/transitions/appeal`, reason), 409, "wrong-state"],
      [
        "closing what is open",
        () => kit.samarkand.staff.inspector.post(`${path()}/transitions/close`, reason),
        422,
        "refused"
      ],
      [
        "the engine's own transition",
        () => kit.samarkand.staff["municipality-admin"].post(`${path()}/transitions/settle`),
        404,
        "not-found"
      ],
      [
        "the engine's own case type",
        () => citizen.post("/v1/cases/traffic-violation", { data: { offence: "red-light" } }),
        422,
        "refused"
      ],
      [
        "accepting without a plate",
        () => kit.samarkand.staff.inspector.post(`${violationPath()}/transitions/accept`, {}),
        422,
        "refused"
      ],
      [
        "rejecting without a reason",
        () => kit.samarkand.staff.inspector.post(`${violationPath()}/transitions/reject`, {}),
        400,
        "invalid-input",
        ["/reason"]
      ],
      [
        "an unknown input",
        () => kit.samarkand.staff.inspector.post(`${violationPath()}/transitions/reject`, { ...reason, state: "x" }),
        400,
        "invalid-input",
        ["/state"]
      ],
      ["a citizen reads the event log", () => citizen.get("/v1/event-log"), 403, "forbidden"],
      [
        "an inspector funds the budget",
        () => kit.samarkand.staff.inspector.post("/v1/accounts/budget/funds", { amount: "1", memo: "for me" }),
        403,
        "forbidden"
      ],
      ["a citizen reads findings", () => citizen.get(`/v1/reports/${reported.id}/findings`), 403, "forbidden"],
      [
        "an internal comment of a citizen",
        () => citizen.post(`${path()}/comments`, { text: "x", visibility: "internal" }),
        403,
        "forbidden"
      ],
      ["an empty comment", () => citizen.post(`${path()}/comments`, { text: "   " }), 400, "invalid-input", ["/text"]],
      [
        "money that is too much",
        () => kit.samarkand.staff.treasurer.post("/v1/accounts/budget/funds", { amount: "9".repeat(18), memo: "all" }),
        400,
        "invalid-input",
        ["/amount"]
      ],
      [
        "money below nothing",
        () => kit.samarkand.staff.treasurer.post("/v1/accounts/budget/funds", { amount: "-5", memo: "back" }),
        400,
        "invalid-input",
        ["/amount"]
      ],
      [
        "a role that is none",
        () => kit.samarkand.staff["municipality-admin"].post(`/v1/principals/${citizen.id}/grants`, { role: "king" }),
        400,
        "invalid-input",
        ["/role"]
      ],
      [
        "a role until no day",
        () =>
          kit.samarkand.staff["municipality-admin"].post(`/v1/principals/${citizen.id}/grants`, {
            role: "inspector",
            until: "soon"
          }),
        400,
        "invalid-input",
        ["/until"]
      ],
      [
        "a role where no territory is",
        () =>
          kit.samarkand.staff["municipality-admin"].post(`/v1/principals/${citizen.id}/grants`, {
            role: "inspector",
            territoryId: reported.id
          }),
        400,
        "invalid-input",
        ["/territoryId"]
      ],
      [
        "an assignee who is nobody",
        () => kit.samarkand.staff.dispatcher.call("PUT", `${path()}/assignee`, { body: { assigneeId: reported.id } }),
        400,
        "invalid-input",
        ["/assigneeId"]
      ],
      [
        "a link in a circle",
        () => kit.samarkand.staff.inspector.post(`${path()}/links`, { kind: "parent", to: reported.violation }),
        422,
        "refused"
      ],
      [
        "merging into itself",
        () => kit.samarkand.staff.inspector.post(`${path()}/merge`, { into: reported.id }),
        422,
        "refused"
      ]
    ])
  )

  test("changed_nothing_in_all_of_this", async () => {
    const view = await citizen.get(path())
    expect([view.body.state, view.body.version]).toEqual(["in-review", 3])
    expect((await kit.samarkand.staff.inspector.get(violationPath())).body.state).toBe("proposed")
    expect((await citizen.get("/health/ready")).status).toBe(200)
    expect(place.longitude).toBe(view.body.place.longitude)
  })
})
