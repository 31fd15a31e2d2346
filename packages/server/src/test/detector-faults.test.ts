/** Reports whose files a detector cannot look at, at first or ever: nothing of them is shown in the clear, and no finding is lost. */
import { readFile } from "node:fs/promises"
import { DetectorError, type Finding } from "@mahalla/core/plugin"
import { pretendedMedium } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { type CityKit, lightDetector, openCityKit, reportBody } from "./cityKit.ts"
import { type Client, until, upload } from "./client.ts"

/** By a mark in the file: how often it still fails, and what is found in it then. */
const failing = new Map<string, number>()
const found = new Map<string, string>()

const away = new DetectorError({
  reason: "Unavailable",
  operation: "detect",
  subject: "evidence",
  message: "The detector is away. Try again.",
  retryable: true
})

const plate = (text: string): Finding => ({
  ...{ kind: "plate", frame: 0, box: { x: 20, y: 20, width: 60, height: 20 } },
  ...{ text, confidence: 0.99, certain: true }
})

const markedDetector = lightDetector(({ frames }) =>
  Effect.gen(function* () {
    const text = yield* Effect.promise(() => readFile(frames[0]!.path, "latin1"))
    const mark = /mark-\w+/.exec(text)?.[0] ?? ""
    const left = failing.get(mark) ?? 0
    failing.set(mark, left - 1)
    if (left > 0) return yield* away
    const plates = found.get(mark)
    return plates === undefined ? [] : [plate(plates)]
  })
)

let kit: CityKit
let citizen: Client
beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl"), detector: markedDetector })
  citizen = await kit.samarkand.citizen("+998905500001")
})
afterAll(() => kit?.close())

const marked = (mark: string) => pretendedMedium({ kind: "image", width: 640, height: 480, about: mark })
const at = (id: string) => `/v1/cases/traffic-report/${id}`
const report = async (mark: string): Promise<string> => {
  const { id } = await upload(citizen, marked(mark), `${mark}.jpg`)
  const made = await citizen.post("/v1/cases/traffic-report", reportBody([id]))
  expect(made.status).toBe(201)
  return made.body.id
}
const reviewed = (id: string) =>
  until(
    "the report in review",
    async () => {
      const { body } = await kit.samarkand.staff.inspector.get(at(id))
      return body.state === "in-review" && body
    },
    120
  )
const filesOf = async (id: string) => {
  const { items } = (await kit.samarkand.staff.inspector.get(`${at(id)}/attachments`)).body
  return items as ReadonlyArray<Readonly<Record<"kind" | "role" | "derivedFrom", string>>>
}

test("a_detector_that_fails_leaves_no_copy_and_says_why", async () => {
  failing.set("mark-broken", 1_000)
  const id = await report("mark-broken")
  const { data } = await reviewed(id)
  expect(data.mediaProblem).toMatch(/mark-broken\.jpg: The detector is away.*No copy was made.*open the original/)
  expect((await filesOf(id)).map(({ role }) => role)).toEqual(["original"])
})

test("a_late_file_does_not_finish_a_report_whose_first_file_still_waits_for_the_detector", async () => {
  failing.set("mark-first", 2)
  found.set("mark-first", "01A777AA")
  const id = await report("mark-first")
  await until("the first try", () => Promise.resolve((failing.get("mark-first") ?? 2) < 2), 30)
  const { answer } = await upload(citizen, marked("mark-late"), "mark-late.jpg", "image/jpeg", id)
  expect(answer.status).toBe(201)
  const { data } = await reviewed(id)
  expect(data).not.toHaveProperty("mediaProblem")
  const { items } = (await kit.samarkand.staff.inspector.get(`/v1/cases?type=traffic-violation&parent=${id}`)).body
  expect(items.map((one: { data: { plate?: string } }) => one.data.plate)).toEqual(["01A777AA"])
  await until("a poster of both", async () => (await filesOf(id)).filter(({ kind }) => kind === "poster").length === 2)
})

test("each_original_has_one_poster_however_often_its_jobs_run", async () => {
  found.set("mark-twice", "01A778AA")
  const id = await report("mark-twice")
  await reviewed(id)
  const before = await filesOf(id)
  const [original] = await kit.sql<{ id: string }>(
    "select id from mahalla.attachment where case_id = $1 and role = 'original'",
    [id]
  )
  const again = [
    ["reports.detect", { caseId: id }],
    ["reports.process", { caseId: id, seen: [original!.id], problems: [] }]
  ] as const
  for (const [topic, body] of again)
    await kit.sql(
      "insert into mahalla.job (tenant_id, id, topic, body) values ($1, gen_random_uuid(), $2, $3::jsonb)",
      [kit.samarkand.id, topic, JSON.stringify(body)]
    )
  await until(
    "both to be done again",
    async () => (await kit.sql("select from mahalla.job where body ->> 'caseId' = $1", [id])).length === 0,
    60
  )
  expect(await filesOf(id)).toEqual(before)
  const { items } = (await kit.samarkand.staff.inspector.get(`/v1/cases?type=traffic-violation&parent=${id}`)).body
  expect(items).toHaveLength(1)
})
