/** Addresses that lead nowhere or cannot be read, and methods that they do not take. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { rawCall } from "./client.ts"
import type { CityKit } from "./cityKit.ts"
import { expectProblem } from "./problem.ts"
import { hold, openRoom, type Room } from "./room.ts"

let kit: CityKit
let citizen: Room["citizen"]
let neighbour: Room["neighbour"]
let reported: Room["reported"]
let theirs: string

beforeAll(async () => {
  ;({ kit, citizen, neighbour, reported, theirs } = await openRoom(inject("postgresUrl")))
})
afterAll(() => kit?.close())

const path = () => `/v1/cases/traffic-report/${reported.id}`

describe("addresses", () => {
  const raw = (method: string, address: string, headers: Readonly<Record<string, string>> = {}) =>
    rawCall(kit.url, method, address, { authorization: citizen.headers["authorization"]!, ...headers })
  const city = "/t/samarkand"

  test(
    "that_lead_nowhere_say_so",
    hold(() => [
      ["unknown", () => citizen.get("/v1/nothing"), 404, "no-such-address"],
      ["unknown root", () => raw("GET", "/nothing"), 404, "no-such-address"],
      ["no such city", () => raw("GET", "/t/atlantis/v1/cases"), 404, "not-found"],
      ["no city at all", () => raw("GET", "/v1/cases"), 404, "not-found"],
      ["unknown case type", () => citizen.post("/v1/cases/spaceship", {}), 404, "not-found"],
      ["a name of every object as a type", () => citizen.get("/v1/case-types/constructor"), 404, "not-found"],
      ["unknown transition", () => citizen.post(`${path()}/transitions/explode`), 404, "not-found"],
      [
        "a name of every object as a transition",
        () => citizen.post(`${path()}/transitions/constructor`),
        404,
        "not-found"
      ],
      ["__proto__ as a transition", () => citizen.post(`${path()}/transitions/__proto__`), 404, "not-found"],
      [
        "a name of every object, for whoever may do everything",
        () => kit.samarkand.staff["municipality-admin"].post(`${path()}/transitions/constructor`),
        404,
        "not-found"
      ],
      [
        "another type in the address",
        () => citizen.get(`/v1/cases/traffic-violation/${reported.id}`),
        404,
        "not-found"
      ],
      [
        "a case that nobody has",
        () => citizen.get("/v1/cases/traffic-report/01a1fb96-0a6f-7324-b14e-40eab5e1b19c"),
        404,
        "not-found"
      ],
      ["another city's case", () => citizen.get(`/v1/cases/traffic-report/${theirs}`), 404, "not-found"],
      ["a neighbour's case", () => neighbour.get(path()), 404, "not-found"]
    ])
  )

  test(
    "with_unreadable_parts_are_refused",
    hold(() => [
      ["id that is none", () => citizen.get("/v1/cases/traffic-report/17"), 400, "invalid-input", ["#params/id"]],
      [
        "id in capitals",
        () => citizen.get(`/v1/cases/traffic-report/${reported.id.toUpperCase()}`),
        400,
        "invalid-input",
        ["#params/id"]
      ],
      [
        "traversal",
        () => raw("GET", `${city}/v1/cases/traffic-report/..%2f..%2fetc%2fpasswd`),
        400,
        "invalid-input",
        ["#params/id"]
      ],
      [
        "traversal in clear",
        () => raw("GET", `${city}/v1/cases/traffic-report/../../../../etc/passwd`),
        404,
        "no-such-address"
      ],
      [
        "traversal to a file",
        () => raw("GET", `${city}/v1/attachments/..%2f..%2fsecret/content`),
        400,
        "invalid-input",
        ["#params/id"]
      ],
      [
        "SQL",
        () => raw("GET", `${city}/v1/cases/traffic-report/1'%20or%20'1'='1`),
        400,
        "invalid-input",
        ["#params/id"]
      ],
      ["NUL", () => raw("GET", `${city}/v1/cases?q=a%00b`), 400, "invalid-address"],
      ["NUL in the path", () => raw("GET", `${city}/v1/case-types/a%00b`), 400, "invalid-address"],
      ["no UTF-8", () => raw("GET", `${city}/v1/cases?q=%ff%fe`), 400, "invalid-address"],
      ["half an escape", () => raw("GET", `${city}/v1/case-types/%zz`), 400, "invalid-address"],
      ["very long", () => raw("GET", `${city}/v1/cases?q=${"x".repeat(9_000)}`), 414, "address-too-long"],
      ["cursor", () => citizen.get("/v1/cases?cursor=bm9wZQ"), 400, "invalid-input"],
      [
        "cursor of a list of comments",
        () => citizen.get(`${path()}/comments?cursor=1`),
        400,
        "invalid-input",
        ["#query/cursor"]
      ],
      [
        "cursor of a timeline",
        () => citizen.get(`${path()}/timeline?cursor='`),
        400,
        "invalid-input",
        ["#query/cursor"]
      ],
      [
        "cursor of people",
        () => kit.samarkand.staff["municipality-admin"].get("/v1/principals?cursor=x"),
        400,
        "invalid-input",
        ["#query/cursor"]
      ],
      ["limit 0", () => citizen.get("/v1/cases?limit=0"), 400, "invalid-input", ["#query/limit"]],
      ["limit 201", () => citizen.get("/v1/cases?limit=201"), 400, "invalid-input", ["#query/limit"]],
      ["limit 1.5", () => citizen.get("/v1/cases?limit=1.5"), 400, "invalid-input", ["#query/limit"]],
      ["limit ten", () => citizen.get("/v1/cases?limit=ten"), 400, "invalid-input", ["#query/limit"]],
      ["limit of infinity", () => citizen.get("/v1/cases?limit=Infinity"), 400, "invalid-input", ["#query/limit"]],
      ["limit twice", () => citizen.get("/v1/cases?limit=1&limit=2"), 400, "invalid-input", ["#query/limit"]],
      ["box of three", () => citizen.get("/v1/cases?bbox=1,2,3"), 400, "invalid-input", ["#query/bbox"]],
      ["box of five", () => citizen.get("/v1/cases?bbox=1,2,3,4,5"), 400, "invalid-input", ["#query/bbox"]],
      ["box upside down", () => citizen.get("/v1/cases?bbox=1,2,3,1"), 400, "invalid-input", ["#query/bbox"]],
      ["box of words", () => citizen.get("/v1/cases?bbox=a,b,c,d"), 400, "invalid-input", ["#query/bbox"]],
      ["box without numbers", () => citizen.get("/v1/cases?bbox=,,,"), 400, "invalid-input", ["#query/bbox"]],
      ["box off the earth", () => citizen.get("/v1/cases?bbox=-181,0,0,0"), 400, "invalid-input", ["#query/bbox"]],
      ["no date", () => citizen.get("/v1/cases?createdAfter=tomorrow"), 400, "invalid-input", ["#query/createdAfter"]],
      [
        "a year that no database has",
        () => citizen.get("/v1/cases?createdBefore=-271821-04-20T00:00:00Z"),
        400,
        "invalid-input",
        ["#query/createdBefore"]
      ],
      ["unknown query", () => citizen.get("/v1/cases?colour=red"), 400, "invalid-input", ["#query/colour"]],
      ["unknown phase", () => citizen.get("/v1/cases?phase=ajar"), 400, "invalid-input", ["#query/phase"]],
      ["a long search", () => citizen.get(`/v1/cases?q=${"x".repeat(201)}`), 400, "invalid-input", ["#query/q"]],
      [
        "position",
        () => kit.samarkand.staff.auditor.get("/v1/event-log?after=-1"),
        400,
        "invalid-input",
        ["#query/after"]
      ],
      ["Last-Event-ID", () => citizen.get("/v1/events", { "last-event-id": "x" }), 400, "invalid-input"],
      [
        "cursor of dead letters",
        () => kit.samarkand.staff.auditor.get("/v1/dead-letters?cursor=x"),
        400,
        "invalid-input"
      ]
    ])
  )

  test("answer_other_methods_with_405_and_what_they_take", async () => {
    for (const [method, address, allow] of [
      ["DELETE", "/v1/cases", "GET"],
      ["PUT", "/v1/me", "GET, PATCH, DELETE"],
      ["POST", "/v1/city", "GET"],
      ["PATCH", "/v1/cases/traffic-report", "POST"],
      ["GET", "/v1/auth/code", "POST"]
    ] as const) {
      const answer = await citizen.call(method, address)
      expectProblem(`${method} ${address}`, answer, { status: 405, type: "method-not-allowed" })
      expect([address, answer.headers.get("allow")]).toEqual([address, allow])
    }
    for (const address of ["/v1/city", "/v1/cases?limit=1", "/v1/nothing"]) {
      const [head, get] = [await citizen.call("HEAD", address), await citizen.get(address)]
      expect([address, head.status, head.text]).toEqual([address, get.status, ""])
    }
    const strange = await rawCall(kit.url, "PROPFIND", "/t/samarkand/v1/cases")
    expectProblem("PROPFIND", strange, { status: 405, type: "method-not-allowed" })
  })

  test("take_no_harm_from_words_that_searches_give_a_meaning", async () => {
    for (const q of [
      "'",
      '"',
      "\\",
      "&|!",
      "a:*",
      "((",
      "%",
      "_",
      "or",
      "-",
      "🚦",
      "\u202e",
      "$1",
      "'; select 1; --"
    ]) {
      const answer = await kit.samarkand.staff.inspector.get(`/v1/cases?q=${encodeURIComponent(q)}`)
      expect([q, answer.status]).toEqual([q, 200])
      const people = await kit.samarkand.staff.auditor.get(`/v1/principals?q=${encodeURIComponent(q)}`)
      expect([q, people.status]).toEqual([q, 200])
    }
  })
})
