/**
 * What copies show: the plate the report is about, and no other. Judged by the detector itself: a copy is sent as evidence of a new report,
 * and what is read in it is what people could read.
 */
import { existsSync, readFileSync } from "node:fs"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { ffmpeg } from "@mahalla/ffmpeg"
import { plates } from "@mahalla/plates"
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { makePlateClip } from "../../../../scripts/make-plate-clip.ts"
import { type CityKit, openCityKit, reportBody } from "./cityKit.ts"
import { type Client, until, upload } from "./client.ts"
import { expectProblem } from "./problem.ts"
import { boxOf, passingVehicle, plateOf, strokesIn, twoVehicles } from "./scenes.ts"

const photographs = fileURLToPath(new URL("../../../../../shared/data/plates-eu", import.meta.url))
if (!existsSync(photographs)) throw new Error(`The photographs of cars are missing: ${photographs}`)

let kit: CityKit
let folder: string
let citizen: Client
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mahalla-redaction-"))
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    encoder: ffmpeg({}),
    detector: plates({ countries: ["EU"] })
  })
  citizen = await kit.samarkand.citizen("+998903300001")
})
afterAll(async () => {
  await kit?.close()
  await rm(folder, { recursive: true, force: true })
})

type File = Readonly<Record<"id" | "kind" | "role", string>>
interface Sent {
  readonly id: string
  readonly original: string
  readonly files: ReadonlyArray<File>
}
const sent = async (bytes: Uint8Array, data: Readonly<Record<string, unknown>> = {}): Promise<Sent> => {
  const { id: original } = await upload(citizen, bytes, "evidence")
  const made = await citizen.post("/v1/cases/traffic-report", reportBody([original], data))
  expect(made.status).toBe(201)
  const path = `/v1/cases/traffic-report/${made.body.id}`
  const { inspector } = kit.samarkand.staff
  await until("in review", async () => (await inspector.get(path)).body.state === "in-review", 150)
  return { id: made.body.id, original, files: (await inspector.get(`${path}/attachments`)).body.items }
}
const bytesOf = async (file: File | undefined) => {
  const response = await fetch(`${citizen.base}/v1/attachments/${file!.id}/content`, { headers: citizen.headers })
  expect(response.status).toBe(200)
  return new Uint8Array(await response.arrayBuffer())
}
const readIn = async ({ id }: Sent) => {
  const { body } = await kit.samarkand.staff.inspector.get(`/v1/reports/${id}/findings`)
  const items = body.items as ReadonlyArray<{ text: string | null; certain: boolean }>
  return new Set(items.flatMap(({ certain, text }) => (certain && text !== null ? [text] : [])))
}
const copy = (of: Sent, kind: string) => bytesOf(of.files.find((file) => file.kind === kind))

test("a_photograph_of_the_vehicle_itself_shows_its_plate_in_the_poster", async () => {
  const first = await sent(readFileSync(join(photographs, "eu8.jpg")))
  expect(await readIn(first)).toEqual(new Set(["WSQ3021"]))
  expect(await readIn(await sent(await copy(first, "poster")))).toEqual(new Set(["WSQ3021"]))
})

test("a_bystanders_plate_is_not_to_be_read_in_the_poster", async () => {
  const first = await sent(readFileSync(join(photographs, "eu8.jpg")), { plate: "01A777AA" })
  expect(await readIn(first)).toEqual(new Set(["WSQ3021"]))
  expect(await readIn(await sent(await copy(first, "poster")))).toEqual(new Set())
})

test("of_two_vehicles_in_a_photograph_only_the_reports_own_plate_keeps_its_detail", async () => {
  const original = join(folder, "two.jpg")
  const first = await sent(await twoVehicles({ photographs, output: original }), { plate: plateOf.own })
  expect(await readIn(first)).toEqual(new Set([plateOf.own, plateOf.foreign]))
  const bytes = await copy(first, "poster")
  const poster = join(folder, "poster.jpg")
  await writeFile(poster, bytes)
  expect(await strokesIn(poster, boxOf.foreign)).toBeLessThan((await strokesIn(original, boxOf.foreign)) / 20)
  expect(await strokesIn(poster, boxOf.own)).toBeGreaterThan((await strokesIn(original, boxOf.own)) * 0.8)
  expect(await readIn(await sent(bytes))).toEqual(new Set([plateOf.own]))
})

test("a_vehicle_that_passes_is_hidden_also_between_the_moments_looked_at", async () => {
  const film = await passingVehicle({ photographs, output: join(folder, "passing.mp4"), seconds: 6 })
  const first = await sent(film, { plate: plateOf.own })
  expect(await readIn(first)).toEqual(new Set([plateOf.own, plateOf.foreign]))
  // With a moment named, the copy is looked at between the moments at which the film was.
  const again = await sent(await copy(first, "standard"), { moment: 1.75 })
  const { body } = await kit.samarkand.staff.inspector.get(`/v1/reports/${again.id}/findings`)
  const texts = (body.items as ReadonlyArray<{ text: string | null }>).flatMap(({ text }) => text ?? [])
  expect(texts).toContain(plateOf.own)
  const partOf = (text: string) => [...plateOf.foreign].filter((character) => text.includes(character)).length
  expect(texts.filter((text) => partOf(text) >= 4)).toEqual([])
}, 120_000)

test("a_film_shows_the_named_plate_and_hides_the_other_in_every_copy", async () => {
  const clip = await makePlateClip({
    output: join(folder, "two.mp4"),
    seconds: 6,
    names: ["eu8", "test_021"],
    photographs
  })
  const bytes = readFileSync(clip.path)
  const both = await readIn(await sent(bytes))
  expect(both.size).toBe(2)
  const [named, other] = [...both]
  const first = await sent(bytes, { plate: named })
  const shown = await readIn(await sent(await copy(first, "standard")))
  expect([...shown]).not.toContain(other)
  expect([...shown]).toContain(named)
  const frames = first.files.filter(({ kind }) => kind === "frame")
  expect(frames.length).toBeGreaterThan(0)
  for (const frame of [...frames.slice(0, 2), first.files.find(({ kind }) => kind === "poster")])
    expect([...(await readIn(await sent(await bytesOf(frame))))]).not.toContain(other)
}, 300_000)

test("faces_are_hidden_in_the_poster", async () => {
  // Photographs of people come with the weights that the plates plugin uses.
  const plugin = join(import.meta.dirname, "../../../plugins/plates/node_modules")
  const people = join(plugin, "@vladmandic", "face-api", "demo", "sample1.jpg")
  const facesIn = async ({ id }: Sent) => {
    const { body } = await kit.samarkand.staff.inspector.get(`/v1/reports/${id}/findings`)
    return (body.items as ReadonlyArray<{ kind: string }>).filter(({ kind }) => kind === "face").length
  }
  const first = await sent(readFileSync(people))
  expect(await facesIn(first)).toBeGreaterThanOrEqual(3)
  expect(await facesIn(await sent(await copy(first, "poster")))).toBe(0)
})

test("the_original_is_for_inspectors_and_who_opened_it_stands_in_the_timeline", async () => {
  const first = await sent(readFileSync(join(photographs, "eu8.jpg")))
  const { inspector } = kit.samarkand.staff
  const content = `/v1/attachments/${first.original}/content`
  expectProblem("the owner", await citizen.get(content), { status: 403, type: "forbidden" })
  const opened = async () => {
    const { items } = (await inspector.get(`/v1/cases/traffic-report/${first.id}/timeline?limit=200`)).body
    return (items as ReadonlyArray<{ type: string; actorId: string }>).filter(
      ({ type }) => type === "attachment.original-opened"
    )
  }
  expect(await opened()).toHaveLength(0)
  expect((await inspector.get(content)).status).toBe(200)
  expect((await inspector.get(content, { range: "bytes=100-" })).status).toBe(206)
  expect(await opened()).toMatchObject([{ actorId: inspector.id }])
})
