/** Bodies that are wrong in every way we could think of: each gets a clear problem, and nothing is changed. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { upload } from "./client.ts"
import { type CityKit, picture, report, reportBody } from "./cityKit.ts"
import { expectProblem } from "./problem.ts"
import { hold, openRoom, type Room } from "./room.ts"

let kit: CityKit
let citizen: Room["citizen"]
let attachment: string

beforeAll(async () => {
  ;({ kit, citizen, attachment } = await openRoom(inject("postgresUrl")))
})
afterAll(() => kit?.close())

const json = (body: string | Uint8Array, type = "application/json") =>
  citizen.call("POST", "/v1/cases/traffic-report", { body, headers: { "content-type": type } })

const create = (change: (body: ReturnType<typeof reportBody>) => unknown) =>
  citizen.post("/v1/cases/traffic-report", change(reportBody([attachment])))

const withData = (data: Readonly<Record<string, unknown>>) =>
  create((body) => ({ ...body, data: { ...body.data, ...data } }))

const nested = (depth: number) => `${'{"data":'.repeat(depth)}1${"}".repeat(depth)}`

describe("bodies", () => {
  test(
    "that_are_no_json_are_refused_before_anybody_reads_them",
    hold(() => [
      ["broken JSON", () => json('{"data":'), 400, "invalid-body"],
      ["two values", () => json("{} {}"), 400, "invalid-body"],
      ["comments", () => json("{/* no */}"), 400, "invalid-body"],
      ["NaN", () => json('{"place":{"longitude":NaN,"latitude":1}}'), 400, "invalid-body"],
      ["not UTF-8", () => json(Uint8Array.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])), 400, "invalid-body"],
      ["UTF-16", () => json(Buffer.from('{"data":{}}', "utf16le")), 400, "invalid-body"],
      ["too deep", () => json(nested(33)), 400, "invalid-body"],
      ["far too deep", () => json("[".repeat(60_000)), 400, "invalid-body"],
      ["too large", () => json(`{"data":"${"x".repeat(70_000)}"}`), 413, "too-large"],
      ["NUL as an escape", () => json('{"data":{"offence":"a\\u0000b"}}'), 400, "invalid-body"],
      ["NUL as a byte", () => json('{"data":{"offence":"a\u0000b"}}'), 400, "invalid-body"],
      ["half of a surrogate pair", () => json('{"data":{"offence":"\\ud800"}}'), 400, "invalid-body"],
      ["half a pair in a key", () => json('{"data":{"\\udc00":1}}'), 400, "invalid-body"],
      ["another content type", () => json("<a/>", "application/xml"), 415, "http"],
      ["a form", () => json("data=1", "application/x-www-form-urlencoded"), 415, "http"],
      ["plain text", () => json("{}", "text/plain"), 415, "http"],
      ["no body at all", () => citizen.call("POST", "/v1/cases/traffic-report"), 400, "invalid-input"]
    ])
  )

  test(
    "with_wrong_fields_are_answered_with_a_pointer_to_each",
    hold(() => [
      ["an array", () => json("[]"), 400, "invalid-input", [""]],
      ["a number", () => json("7"), 400, "invalid-input", [""]],
      ["null", () => json("null"), 400, "invalid-input", [""]],
      ["unknown key", () => create((body) => ({ ...body, admin: true })), 400, "invalid-input", ["/admin"]],
      ["__proto__", () => json('{"__proto__":{"x":1}}'), 400, "invalid-input", ["/__proto__"]],
      ["unknown field of the data", () => withData({ state: "decided" }), 400, "invalid-input", ["/data/state"]],
      ["wrong type", () => withData({ moment: "12" }), 400, "invalid-input", ["/data/moment"]],
      ["out of range", () => withData({ moment: 86_401 }), 400, "invalid-input", ["/data/moment"]],
      ["below the range", () => withData({ moment: -1 }), 400, "invalid-input", ["/data/moment"]],
      [
        "beyond every number",
        () => json(JSON.stringify(reportBody([attachment], { moment: 9 })).replace('"moment":9', '"moment":1e999')),
        400,
        "invalid-input",
        ["/data/moment"]
      ],
      [
        "several at once",
        () =>
          create((body) => ({
            ...body,
            data: { plate: "no plate!", moment: -1 },
            place: { longitude: 181, latitude: 91 }
          })),
        400,
        "invalid-input",
        ["/place/longitude", "/place/latitude"]
      ],
      [
        "several in the data",
        () => withData({ plate: "no plate!", moment: -1, occurredAt: "yesterday" }),
        400,
        "invalid-input",
        ["/data/plate", "/data/moment", "/data/occurredAt"]
      ],
      [
        "missing",
        () => create((body) => ({ ...body, data: { offence: "red-light" } })),
        400,
        "invalid-input",
        ["/data/occurredAt"]
      ],
      ["too long", () => withData({ description: "x".repeat(4001) }), 400, "invalid-input", ["/data/description"]],
      ["no place", () => create((body) => ({ ...body, place: undefined })), 400, "invalid-input", ["/place"]],
      ["no evidence", () => create((body) => ({ ...body, attachments: [] })), 400, "invalid-input", ["/attachments"]],
      [
        "evidence twice",
        () => create((body) => ({ ...body, attachments: [attachment, attachment] })),
        400,
        "invalid-input",
        ["/attachments/1"]
      ],
      [
        "a path as evidence",
        () => create((body) => ({ ...body, attachments: ["../../etc/passwd"] })),
        400,
        "invalid-input",
        ["/attachments/0"]
      ],
      ["unknown offence", () => withData({ offence: "flying" }), 400, "invalid-input", ["/data/offence"]],
      ["an offence of the past", () => withData({ offence: "old" }), 400, "invalid-input", ["/data/offence"]],
      [
        "SQL as an offence",
        () => withData({ offence: "'; drop table mahalla.event; --" }),
        400,
        "invalid-input",
        ["/data/offence"]
      ],
      [
        "a day that is none",
        () => withData({ occurredAt: "2026-02-31T08:00:00Z" }),
        400,
        "invalid-input",
        ["/data/occurredAt"]
      ],
      [
        "an hour that is none",
        () => withData({ occurredAt: "2026-02-01T25:00:00Z" }),
        400,
        "invalid-input",
        ["/data/occurredAt"]
      ],
      [
        "the future",
        () => withData({ occurredAt: new Date(Date.now() + 6 * 60_000).toISOString() }),
        400,
        "invalid-input",
        ["/data/occurredAt"]
      ],
      [
        "the far future",
        () => withData({ occurredAt: "9999-12-31T23:59:59Z" }),
        400,
        "invalid-input",
        ["/data/occurredAt"]
      ]
    ])
  )

  test("keep_what_is_unusual_but_right", async () => {
    const description = "Ўзбекча «матн» 🚦 e\u0301 \u202eright\u202c '; drop table mahalla.event; -- {{7*7}} <script>"
    const occurredAt = new Date(Date.now() + 4 * 60_000).toISOString()
    const first = await report(citizen, { description, occurredAt })
    expect(first.made.body.data).toEqual({ offence: "red-light", occurredAt, description })
  })

  test("have_each_name_once_in_an_object", async () => {
    const { id } = await upload(citizen, picture(), "twice.jpg")
    const text = JSON.stringify(reportBody([id], { moment: 1 })).replace('"moment":1', '"moment":"x","moment":2')
    const twice = await json(text)
    expectProblem("a name twice", twice, { status: 400, type: "invalid-input" })
    expect(twice.body.errors).toEqual([{ pointer: "/data/moment", detail: expect.any(String) }])
    expect((await json(text.replace('"moment":"x",', ""))).body.data.moment).toBe(2)
  })
})
