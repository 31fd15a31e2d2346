/**
 * Random requests at every operation that the city's own document lists, and at uploads: whatever is sent, the answer is never a fault of ours, and
 * every refusal is a problem that can be read.
 */
import fc from "fast-check"
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { type Client, rawCall, until } from "./client.ts"
import { type CityKit, openCityKit, report } from "./cityKit.ts"

type Schema = { readonly [key: string]: unknown }

interface Operation {
  readonly method: string
  readonly path: string
  readonly parameters: ReadonlyArray<{ readonly name: string; readonly in: string; readonly schema: Schema }>
  readonly body: Schema | undefined
}

let kit: CityKit
let clients: ReadonlyArray<Client>
let ids: ReadonlyArray<string>
let operations: ReadonlyArray<Operation>
let components: Record<string, Schema>

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl"), config: { logFormat: "silent" } })
  const citizen = await kit.samarkand.citizen("+998902000001")
  const { attachment, id } = await report(citizen)
  const { inspector, "municipality-admin": admin } = kit.samarkand.staff
  const violation = await until("proposed", async () => {
    const { body } = await inspector.get(`/v1/cases?type=traffic-violation&parent=${id}`)
    return body.items[0]?.id as string | undefined
  })
  clients = [citizen, admin, admin, admin, kit.samarkand.visitor]
  ids = [id, violation, attachment, citizen.id, admin.id, "01a1fb96-0a6f-7324-b14e-40eab5e1b19c"]
  const { body } = await citizen.get("/openapi.json")
  components = body.components.schemas
  operations = Object.entries(body.paths as Record<string, Record<string, never>>).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => {
      const { parameters = [], requestBody } = operation as {
        parameters?: Operation["parameters"]
        requestBody?: { content: Record<string, { schema: Schema }> }
      }
      return { method: method.toUpperCase(), path, parameters, body: requestBody?.content["application/json"]?.schema }
    })
  )
})
afterAll(() => kit?.close())

const nasty = [
  "",
  " ",
  "null",
  "-1",
  "0",
  "1e999",
  "NaN",
  "true",
  "'",
  "\\",
  "%",
  "../..",
  "{}",
  "[]",
  "\u202e",
  "🚦",
  "e\u0301",
  "\uffff",
  "constructor",
  "__proto__",
  "toString",
  "2026-02-31T00:00:00Z",
  "9999-12-31T23:59:59Z",
  "-271821-04-20T00:00:00Z",
  "99999999999999999999",
  "x".repeat(5_000)
]
const anyText = fc.oneof(
  fc.constantFrom(...nasty),
  fc.string({ maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 20 })
)
const anyValue = fc.oneof(
  anyText,
  fc.jsonValue({ maxDepth: 3 }),
  fc.double(),
  fc.bigInt().map(Number),
  fc.constant(null)
)
const anyId = () => fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...ids) }, { weight: 1, arbitrary: anyText })

const follow = (schema: Schema): Schema =>
  typeof schema["$ref"] === "string" ? follow(components[schema["$ref"].split("/").at(-1)!] ?? {}) : schema

/** Values that mostly obey a schema, so that requests get past the first check. */
const obeying = (given: Schema, depth = 0): fc.Arbitrary<unknown> => {
  const schema = follow(given)
  const { enum: values, type } = schema as { enum?: ReadonlyArray<unknown>; type?: string }
  const options = (schema["anyOf"] ?? schema["oneOf"]) as ReadonlyArray<Schema> | undefined
  if (depth > 4) return anyValue
  if (options !== undefined) return fc.oneof(...options.map((one) => obeying(one, depth + 1)))
  if (values !== undefined) return fc.constantFrom(...values)
  switch (type) {
    case "object": {
      const required = new Set((schema["required"] ?? []) as ReadonlyArray<string>)
      const properties = Object.entries((schema["properties"] ?? {}) as Record<string, Schema>)
      const fields = Object.fromEntries(properties.map(([name, part]) => [name, spoiled(obeying(part, depth + 1))]))
      return fc.record(fields, { requiredKeys: properties.map(([name]) => name).filter((name) => required.has(name)) })
    }
    case "array":
      return fc.array(obeying((schema["items"] ?? {}) as Schema, depth + 1), { maxLength: 4 })
    case "integer":
    case "number": {
      const [min, max] = [Number(schema["minimum"] ?? -1e15), Number(schema["maximum"] ?? 1e15)]
      return fc.oneof(
        fc.constantFrom(min, max, 0),
        fc.integer({ min: Math.max(min, -(2 ** 31)), max: Math.min(max, 2 ** 31 - 1) })
      )
    }
    case "boolean":
      return fc.boolean()
    case "null":
      return fc.constant(null)
    case "string": {
      const { format, pattern } = schema as { format?: string; pattern?: string }
      if (format === "uuid" || pattern?.startsWith("^[0-9a-f]{8}") === true) return anyId()
      if (format === "date-time")
        return fc.oneof(
          fc
            .date({ min: new Date("1900-01-01"), max: new Date("2200-01-01"), noInvalidDate: true })
            .map((date) => date.toISOString()),
          fc.constantFrom(...nasty)
        )
      const texts = fc.oneof(
        fc.constantFrom("red-light", "inspector", "+998901234567", "123456", "01A777AA", "5", "some text"),
        anyText
      )
      return pattern === undefined ? texts : fc.oneof(fc.stringMatching(new RegExp(pattern)), texts)
    }
    default:
      return anyValue
  }
}

/** One in eight is anything else. */
const spoiled = (value: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 7, arbitrary: value }, { weight: 1, arbitrary: anyValue })

const isId = (name: string) => /^(id|to|grant)$/.test(name)

const requestOf = (operation: Operation) => {
  const given = operation.parameters.map(({ in: place, name, schema }) => {
    const value = isId(name)
      ? anyId()
      : spoiled(obeying(schema)).map((one) => (typeof one === "string" ? one : (JSON.stringify(one) ?? "")))
    return [place, name, place === "path" ? value : fc.option(value, { nil: undefined })] as const
  })
  return fc.record({
    client: fc.constantFrom(...clients),
    values: fc.tuple(...given.map(([, , value]) => value)),
    // Types are mostly real ones.
    type: fc.constantFrom("traffic-report", "traffic-violation"),
    body: operation.body === undefined ? fc.constant(undefined) : spoiled(obeying(operation.body)),
    key: fc.option(anyText, { nil: undefined, freq: 4 }),
    match: fc.option(fc.oneof(anyText, fc.constantFrom('"1"', "*")), { nil: undefined, freq: 4 })
  })
}

const header = (text: string) => text.replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, "?").trim()

const send = async (operation: Operation, request: Record<string, never>) => {
  const { body, client, key, match, type, values } = request as unknown as {
    client: Client
    values: ReadonlyArray<string | undefined>
    type: string
    body: unknown
    key?: string
    match?: string
  }
  let path = operation.path
  const query = new URLSearchParams()
  const headers: Record<string, string> = { ...client.headers }
  for (const [index, parameter] of operation.parameters.entries()) {
    const value = values[index]
    if (parameter.in === "path") {
      const text = parameter.name === "type" ? type : (value ?? "").toWellFormed().replaceAll("\u0000", "")
      path = path.replace(`{${parameter.name}}`, encodeURIComponent(text === "" || /^\.+$/.test(text) ? "x" : text))
    } else if (value !== undefined && parameter.in === "query")
      query.set(parameter.name, value.toWellFormed().replaceAll("\u0000", ""))
  }
  if (key !== undefined) headers["idempotency-key"] = header(key)
  if (match !== undefined) headers["if-match"] = header(match)
  // A rate limit is an answer too, but it would hide the others.
  headers["x-forwarded-for"] = `10.${[1, 2, 3].map(() => Math.floor(Math.random() * 255)).join(".")}`
  const text = body === undefined ? undefined : JSON.stringify(body)
  if (text !== undefined) {
    headers["content-type"] = "application/json"
    headers["content-length"] = String(Buffer.byteLength(text))
  }
  const search = query.toString()
  return rawCall(kit.url, operation.method, `/t/samarkand${path}${search === "" ? "" : `?${search}`}`, headers, text)
}

test("no_operation_answers_random_input_with_a_fault_of_ours", async () => {
  const faults: Array<string> = []
  const seen = new Map<number, number>()
  for (const operation of operations) {
    if (operation.path === "/v1/events" || operation.path === "/v1/readings/live") continue
    await fc
      .assert(
        fc.asyncProperty(requestOf(operation), async (request) => {
          const answer = await send(operation, request as never)
          seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1)
          const isProblem = answer.headers.get("content-type") === "application/problem+json"
          if (answer.status >= 500 || (answer.status >= 400 && (!isProblem || answer.body?.requestId === undefined))) {
            const { body, key, match, values } = request as Record<string, unknown>
            faults.push(
              `${operation.method} ${operation.path}: ${answer.status} ${answer.text} for ${JSON.stringify({ values, key, match, body })}`
            )
            throw new Error(`${answer.status}: ${answer.text}`)
          }
        }),
        { numRuns: 12, endOnFailure: true, seed: 20_261_121, interruptAfterTimeLimit: 20_000 }
      )
      .catch((error: Error) => faults.push(`${operation.method} ${operation.path}: ${error.message.slice(0, 60)}`))
  }
  expect(faults).toEqual([])
  // The requests were not all stopped at the first check.
  expect((seen.get(200) ?? 0) + (seen.get(201) ?? 0) + (seen.get(204) ?? 0)).toBeGreaterThan(100)
  expect(seen.get(400)).toBeGreaterThan(100)
})

test("uploads_answer_random_headers_with_no_fault_of_ours", async () => {
  const [citizen] = clients
  const value = fc.oneof(anyText, fc.integer().map(String), fc.base64String())
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("POST", "PATCH", "HEAD", "DELETE", "GET", "OPTIONS"),
      fc.constantFrom("", `/${ids[2]}`, "/x", `/${ids[5]}`, `/${ids[5]}.secret`),
      fc.record(
        {
          "tus-resumable": fc.constantFrom("1.0.0", "1.0.0", "1.0.0", "2"),
          "upload-length": value,
          "upload-offset": value,
          "upload-metadata": value,
          "upload-defer-length": value,
          "upload-concat": value,
          "upload-checksum": value,
          "content-type": fc.constantFrom("application/offset+octet-stream", "application/json"),
          "x-http-method-override": fc.constantFrom("PATCH", "DELETE", "TRACE")
        },
        { requiredKeys: ["tus-resumable"] }
      ),
      fc.option(fc.uint8Array({ maxLength: 200 }), { nil: undefined }),
      async (method, place, headers, bytes) => {
        const given = Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, header(text)]))
        const answer = await rawCall(
          kit.url,
          method,
          `/t/samarkand/v1/uploads${place}`,
          {
            ...citizen!.headers,
            ...given,
            ...(bytes === undefined ? {} : { "content-length": String(bytes.length) })
          },
          bytes
        )
        if (answer.status >= 500) throw new Error(`${answer.status}: ${answer.text}`)
        if (answer.status >= 400 && method !== "HEAD") expect(answer.body?.status).toBe(answer.status)
      }
    ),
    { numRuns: 250, seed: 20_261_121 }
  )
  expect((await citizen!.get("/health/ready")).status).toBe(200)
})
