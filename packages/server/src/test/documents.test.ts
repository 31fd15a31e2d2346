/** What the city gives out in one piece: its API document, exports, and answers that must not tell known people from unknown ones. */
import { Validator } from "@seriousme/openapi-schema-validator"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type Client, makeClient } from "./client.ts"
import { type CityKit, openCityKit, report } from "./cityKit.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let citizen: Client & { readonly id: string }
beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  citizen = await kit.samarkand.citizen("+998905000001")
})
afterAll(() => kit?.close())

type Json = Record<string, never>

describe("the API document", () => {
  let document: Record<string, Json>
  let operations: ReadonlyArray<readonly [name: string, path: string, operation: Json]>

  beforeAll(async () => {
    document = (await citizen.get("/openapi.json")).body
    operations = Object.entries(document["paths"]!).flatMap(([path, item]) =>
      Object.entries(item as Json).map(([method, operation]) => [`${method} ${path}`, path, operation] as const)
    )
  })

  test("has_an_entry_for_everything_that_a_case_type_can_do", async () => {
    const { body } = await citizen.get("/v1/case-types")
    const paths = Object.keys(document["paths"]!)
    for (const { definition } of body.items) {
      expect([definition.id, paths.includes(`/v1/cases/${definition.id}`)]).toEqual([
        definition.id,
        definition.creatable
      ])
      for (const [name, transition] of Object.entries(
        definition.transitions as Record<string, { internal?: boolean }>
      )) {
        const path = `/v1/cases/${definition.id}/{id}/transitions/${name}`
        expect([path, paths.includes(path)]).toEqual([path, transition.internal !== true])
      }
    }
    const create = document["paths"]!["/v1/cases/traffic-report"]!["post"] as Json
    const schema = create["requestBody"]!["content"]!["application/json"]!["schema"] as Json
    expect(schema["properties"]!["data"]!["required"]).toEqual(["offence", "occurredAt"])
    expect(schema["additionalProperties"]).toBe(false)
  })

  test("is_valid_by_the_schema_of_OpenAPI_3_1", async () => {
    const verdict = await new Validator().validate(structuredClone(document))
    expect(verdict.errors ?? []).toEqual([])
    expect(verdict.valid).toBe(true)
  })

  test("names_the_Idempotency_Key_wherever_a_repeated_request_is_done_once", () => {
    const keyed = operations.flatMap(([name, , { parameters }]) =>
      ((parameters ?? []) as ReadonlyArray<{ name: string; required: boolean }>)
        .filter((parameter) => parameter.name === "Idempotency-Key")
        .map(({ required }) => `${name}${required ? " (needed)" : ""}`)
    )
    expect(new Set(keyed.filter((name) => !/cases\/[a-z-]+(\/\{id\}\/transitions\/[a-z-]+)?$/.test(name)))).toEqual(
      new Set([
        "post /v1/accounts/budget/funds (needed)",
        "post /v1/accounts/corrections (needed)",
        "post /v1/alerts/acknowledgements",
        "post /v1/api-keys",
        "post /v1/apps",
        "post /v1/apps/{id}/secrets",
        "post /v1/assets",
        "post /v1/broadcasts",
        "post /v1/cases/{type}/{id}/comments",
        "post /v1/delegations",
        "post /v1/device-profiles",
        "post /v1/devices",
        "post /v1/devices/batch",
        "post /v1/devices/{id}/commands",
        "post /v1/filings/{id}/retry",
        "post /v1/hydraulic-zones",
        "post /v1/incidents",
        "post /v1/incidents/{id}/alerts",
        "post /v1/ladders",
        "post /v1/maintenance-windows",
        "post /v1/me/identity-checks",
        "post /v1/me/push-subscriptions",
        "post /v1/networks",
        "post /v1/notification-templates/{key}/{channel}/test",
        "post /v1/payouts/{id}/retry",
        "post /v1/principals",
        "post /v1/roles",
        "post /v1/rotas",
        "post /v1/rotas/{id}/overrides",
        "post /v1/webhooks",
        "post /v1/webhooks/{id}/messages/{message}/resend",
        "post /v1/webhooks/{id}/recoveries",
        "post /v1/webhooks/{id}/secrets",
        "post /v1/webhooks/{id}/tests",
        "post /v1/work-orders"
      ])
    )
    const creates = operations.filter(([name]) => /^post \/v1\/cases\/[a-z-]+$/.test(name)).map(([name]) => name)
    expect(keyed).toEqual(expect.arrayContaining(creates))
  })

  test("holds_together", () => {
    const text = JSON.stringify(document)
    const schemas = Object.keys(document["components"]!["schemas"]!)
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) expect(schemas).toContain(name)
    const ids = operations.map(([, , operation]) => String(operation["operationId"]))
    expect(ids.length).toBe(new Set(ids).size)
    expect(text).not.toMatch(/"undefined"|\[object Object\]/)
    expect(document["openapi"]).toBe("3.1.0")
    for (const [name, path, operation] of operations) {
      const declared = (
        (operation["parameters"] ?? []) as ReadonlyArray<{ in: string; name: string; required?: boolean }>
      ).filter((parameter) => parameter.in === "path")
      const named = [...path.matchAll(/\{([^}]+)\}/g)].map((match) => String(match[1]))
      expect([name, declared.map((one) => one.name).toSorted()]).toEqual([name, named.toSorted()])
      expect([name, declared.every((one) => one.required === true)]).toEqual([name, true])
      expect([name, "security" in operation]).toEqual([name, false])
      const problem = operation["responses"]!["default"]!["content"] as Json
      expect([name, Object.keys(problem)]).toEqual([name, ["application/problem+json"]])
    }
  })

  test("lists_only_doors_that_are_there", async () => {
    for (const [name, path] of operations) {
      if (path === "/v1/events") continue
      const [method] = name.split(" ")
      const answer = await kit.samarkand.visitor.call(method!.toUpperCase(), path.replaceAll(/\{[^}]+\}/g, "x"))
      expect([name, answer.status === 405 || answer.body?.type === "urn:mahalla:problem:no-such-address"]).toEqual([
        name,
        false
      ])
    }
  })
})

describe("an export", () => {
  /** RFC 4180. */
  const parse = (text: string) => {
    const rows: Array<Array<string>> = [[]]
    for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,"\r\n]*))(,|\r\n)/g)) {
      rows.at(-1)!.push(quoted === undefined ? (plain ?? "") : quoted.replaceAll('""', '"'))
      if (end === "\r\n") rows.push([])
    }
    return rows.filter((row) => row.length > 0)
  }

  test("runs_nothing_in_a_spreadsheet_and_breaks_no_line", async () => {
    const formulas = [
      '=HYPERLINK("http://evil.example","x")',
      "+1+1",
      "-2+3",
      "@SUM(A1)",
      "\t=1",
      'say "no", please',
      "two\r\nlines",
      "plain"
    ]
    for (const description of formulas) await report(citizen, { description })
    const answer = await kit.samarkand.staff.inspector.get("/v1/cases.csv?type=traffic-report")
    expect(answer.headers.get("content-type")).toBe("text/csv; charset=utf-8")
    expect(answer.headers.get("content-disposition")).toMatch(/^attachment/)
    const [head, ...rows] = parse(answer.text)
    const column = head!.indexOf("data.description")
    const found = rows.map((row) => row[column]!)
    expect(found).toHaveLength(formulas.length)
    expect(rows.every((row) => row.length === head!.length)).toBe(true)
    for (const text of found) expect(text).not.toMatch(/^[=+\-@\t\r]/)
    expect(found.filter((text) => text.startsWith("'"))).toHaveLength(5)
    expect(found).toEqual(expect.arrayContaining(['say "no", please', "two\r\nlines", "plain"]))
  })

  test("shows_each_reader_what_lists_show_them_and_takes_the_same_filters", async () => {
    const own = parse((await citizen.get("/v1/cases.csv")).text)
    const list = (await citizen.get("/v1/cases?limit=200")).body.items
    expect(own.length - 1).toBe(list.length)
    const stranger = await kit.samarkand.citizen("+998905000002")
    expect(parse((await stranger.get("/v1/cases.csv")).text)).toHaveLength(1)
    expect(parse((await citizen.get("/v1/cases.csv?state=decided")).text)).toHaveLength(1)
    expectProblem("a filter that is none", await citizen.get("/v1/cases.csv?bbox=x"), {
      status: 400,
      type: "invalid-input",
      pointers: ["#query/bbox"]
    })
  })

  test("is_streamed_page_by_page_past_the_longest_list", async () => {
    await kit.sql(
      `insert into mahalla.civic_case (tenant_id, id, type, type_version, reference, state, phase, data, owner_id, created_at, updated_at)
       select $1, mahalla.uuid_floor(now() - make_interval(secs => n)), 'traffic-violation', (select max(version) from mahalla.case_type where id = 'traffic-violation'), 'R' || n, 'proposed', 'open', '{"offence":"parking"}', $2, now(), now()
       from generate_series(1, 450) n`,
      [kit.samarkand.id, citizen.id]
    )
    const rows = parse((await citizen.get("/v1/cases.csv?type=traffic-violation&state=proposed")).text)
    const made = rows.filter((row) => /^R\d+$/.test(row[2]!))
    expect(made).toHaveLength(450)
    expect(new Set(made.map((row) => row[0])).size).toBe(450)
  })
})

describe("signing in", () => {
  test("answers_known_and_unknown_numbers_alike", async () => {
    const [known, unknown] = ["+998905000001", "+998905999999"]
    const shape = ({ body, headers, status }: { body: Json; headers: Headers; status: number }) => [
      status,
      Object.keys(body),
      body["title"],
      body["detail"],
      [...headers.keys()].filter((name) => name !== "date")
    ]
    // The known one was sent a code when this began; after its pause both ask for the first time again.
    await kit.sql("update mahalla.sign_in_code set sent_at = sent_at - interval '2 days'")
    const [client, other] = [makeClient(kit.samarkand.visitor.base), makeClient(kit.samarkand.visitor.base)]
    for (const ask of [
      (who: Client, phone: string) => who.post("/v1/auth/session", { phone, code: "000000" }),
      (who: Client, phone: string) => who.post("/v1/auth/code", { phone }),
      (who: Client, phone: string) => who.post("/v1/auth/session", { phone, code: "000000" })
    ])
      expect(shape(await ask(client, known))).toEqual(shape(await ask(other, unknown)))
    const again = await Promise.all([known, unknown].map((phone) => client.post("/v1/auth/code", { phone })))
    for (const answer of again) {
      expectProblem("too soon", answer, { status: 429, type: "too-many-requests" })
      expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(20)
    }
  })

  test("is_limited_by_address_too", async () => {
    const client = makeClient(kit.samarkand.visitor.base)
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        client.post("/v1/auth/code", { phone: `+9989060000${String(index).padStart(2, "0")}` })
      )
    )
    expect(answers.filter((answer) => answer.status === 202)).toHaveLength(20)
    expect(answers.filter((answer) => answer.status === 429)).toHaveLength(10)
  })

  test("gives_one_session_to_twenty_who_use_a_code_at_once", async () => {
    const phone = "+998905000010"
    const client = makeClient(kit.samarkand.visitor.base)
    await client.post("/v1/auth/code", { phone })
    const outbox = await kit.samarkand.staff["municipality-admin"].get(`/v1/outbox?to=${encodeURIComponent(phone)}`)
    const code = /\b\d{6}\b/.exec(String(outbox.body.items[0].text))![0]
    const people = async () => (await kit.sql("select from mahalla.principal where kind = 'person'")).length
    const before = await people()
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => client.post("/v1/auth/session", { phone, code }))
    )
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1)
    for (const answer of answers.filter((one) => one.status !== 200))
      expectProblem("the others", answer, { status: 401, type: "sign-in-refused" })
    expect(await people()).toBe(before + 1)
  })
})
