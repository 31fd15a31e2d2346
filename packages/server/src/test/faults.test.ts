/** Files that are not what they say, and machines that fail at the worst moment: a clear word or another try, and nothing that was taken is lost. */
import { DetectorPatience } from "@mahalla/core"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { BlobStore, BlobStoreError, Encoder, EncoderError, Queue, QueueError } from "@mahalla/core/plugin"
import { pretendedMedium } from "@mahalla/core/testing"
import { filesystem } from "@mahalla/filesystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Client, newKey, rawCall, until, upload } from "./client.ts"
import {
  type CityKit,
  lightDetector,
  lightEncoder,
  openCityKit,
  picture,
  report,
  reportBody,
  wrapped
} from "./cityKit.ts"
import { expectProblem } from "./problem.ts"

/** What is broken at the moment. */
const broken = { disk: false, encoder: 0, detector: false, queue: false }

const full = (operation: string) =>
  new BlobStoreError({
    reason: "Full",
    operation,
    subject: "blob",
    message: "No space is left for files. Free some and try again.",
    retryable: true
  })

const down = (operation: string) =>
  new QueueError({
    reason: "Unavailable",
    operation,
    subject: "queue",
    message: "The queue is away. It is tried again.",
    retryable: true
  })

const unlessDown = <A>(operation: string, effect: Effect.Effect<A, QueueError>) =>
  Effect.suspend(() => (broken.queue ? Effect.fail(down(operation)) : effect))

const killed = <A>(operation: string, effect: Effect.Effect<A, EncoderError>) =>
  Effect.suspend(() => {
    if (broken.encoder === 0) return effect
    broken.encoder--
    return Effect.fail(
      new EncoderError({
        reason: "Unavailable",
        operation,
        subject: "film",
        message: "The encoder was killed. It is tried again.",
        retryable: true
      })
    )
  })

/** Hangs while it is broken, and would so for ever. */
const hanging = () => {
  const plugin = lightDetector(() => Effect.suspend(() => (broken.detector ? Effect.never : Effect.succeed([]))))
  const layer = Layer.merge(plugin.layer, Layer.succeed(DetectorPatience, 300))
  return { ...plugin, layer: layer as typeof plugin.layer }
}

let kit: CityKit
let citizen: Client

beforeAll(async () => {
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    blobs: wrapped(filesystem({}), BlobStore, (store) => ({
      ...store,
      put: (...given) => Effect.suspend(() => (broken.disk ? Effect.fail(full("put")) : store.put(...given))),
      compose: (...given) =>
        Effect.suspend(() => (broken.disk ? Effect.fail(full("compose")) : store.compose(...given)))
    })),
    encoder: wrapped(lightEncoder(), Encoder, (encoder) => ({
      ...encoder,
      poster: (request) => killed("poster", encoder.poster(request)),
      transcode: (request) => killed("transcode", encoder.transcode(request))
    })),
    detector: hanging(),
    queue: (plugin) =>
      wrapped(plugin, Queue, (queue) => ({
        ...queue,
        send: (messages) => unlessDown("send", queue.send(messages)),
        receive: (request) => unlessDown("receive", queue.receive(request)),
        complete: (receipts) => unlessDown("complete", queue.complete(receipts)),
        retry: (receipt, options) => unlessDown("retry", queue.retry(receipt, options))
      }))
  })
  citizen = await kit.samarkand.citizen("+998904000001")
})
afterAll(() => kit?.close())

const at = (id: string) => `/v1/cases/traffic-report/${id}`
const reviewed = (id: string, seconds = 60) =>
  until(
    "the report in review",
    async () => {
      const { body } = await kit.samarkand.staff.inspector.get(at(id))
      return body.state === "in-review" && body
    },
    seconds
  )
const metadata = (name: string, type: string) =>
  `filename ${Buffer.from(name).toString("base64")},filetype ${Buffer.from(type).toString("base64")}`
const tus = { "tus-resumable": "1.0.0", "content-type": "application/offset+octet-stream" }

describe("files that are not what they say", () => {
  const begin = (length: string, more: Readonly<Record<string, string>> = {}) =>
    citizen.call("POST", "/v1/uploads", { headers: { ...tus, "upload-length": length, ...more } })

  test("are_refused_when_they_are_begun", async () => {
    expectProblem("of no length", await begin("0"), { status: 400, type: "empty-file" })
    expectProblem("of 10 GB", await begin(String(10 * 1024 ** 3)), { status: 413, type: "too-large" })
    for (const length of ["-1", "1.5", "ten", "1e3", "0x10", "9".repeat(30)]) {
      const answer = await begin(length)
      expect([length, answer.status, answer.body?.status]).toEqual([length, 400, 400])
    }
    const nothing = await kit.sql("select from mahalla.attachment where tenant_id = $1", [kit.samarkand.id])
    expect(nothing).toHaveLength(0)
  })

  const jpeg = Buffer.from(picture())
  const script = "<script>alert(document.domain)</script>"
  const samples: ReadonlyArray<readonly [string, Buffer, string]> = [
    ["a program called a photo", Buffer.from(`MZ${"\0".repeat(200)}This program cannot be run`), "car.jpg"],
    [
      "an ELF called a film",
      Buffer.concat([Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]), Buffer.alloc(200)]),
      "film.mp4"
    ],
    ["a page called a photo", Buffer.from(`<html><body>${script}</body></html>`), "car.jpg"],
    ["a drawing with a script", Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg">${script}</svg>`), "a.jpg"],
    ["a script", Buffer.from("#!/bin/sh\nrm -rf /\n"), "car.mp4"],
    ["an archive", Buffer.concat([Buffer.from("504b0304140000000800", "hex"), Buffer.alloc(200)]), "car.jpg"],
    ["a playlist", Buffer.from("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"), "film.mp4"],
    ["GIF and JavaScript in one", Buffer.from("GIF89a/*\x01\x00\x01\x00*/=alert(1);//".padEnd(300, "x")), "car.gif"],
    ["words", Buffer.from("nothing but words ".repeat(20)), "car.jpg"]
  ]

  test("are_refused_by_their_content_whatever_they_are_called", async () => {
    for (const [name, bytes, file] of samples) {
      const { answer } = await upload(citizen, bytes, file, file.endsWith("4") ? "video/mp4" : "image/jpeg")
      expectProblem(name, answer, { status: 415, type: "media-type" })
    }
    const kept = await kit.sql("select from mahalla.attachment where state = 'stored'")
    expect(kept).toHaveLength(0)
  })

  test("are_never_given_to_a_browser_as_something_that_runs", async () => {
    // A photo for one program and a page for another: it is kept as the photo, and the original is sealed.
    const { answer, id } = await upload(
      citizen,
      Buffer.concat([jpeg, Buffer.from(`<html>${script}</html>`)]),
      `"><x>.html`
    )
    expect(answer.status).toBe(201)
    const { body } = await citizen.post("/v1/cases/traffic-report", reportBody([id]))
    await reviewed(body.id)
    const files = (await kit.samarkand.staff["municipality-admin"].get(`${at(body.id)}/attachments`)).body.items
    for (const file of files) {
      const content = await kit.samarkand.staff["municipality-admin"].get(`/v1/attachments/${file.id}/content`)
      expect(content.status).toBe(200)
      expect(content.headers.get("content-type")).toBe("image/jpeg")
      expect(content.headers.get("x-content-type-options")).toBe("nosniff")
      expect(content.headers.get("content-disposition") ?? "").not.toMatch(/[<>]/)
    }
  })

  test("are_kept_waiting_when_they_are_cut_off_and_end_up_in_no_report", async () => {
    const begun = await begin(String(jpeg.length), { "upload-metadata": metadata("car.jpg", "image/jpeg") })
    const id = begun.headers.get("location")!.split("/").at(-1)!
    const half = await citizen.call("PATCH", `/v1/uploads/${id}`, {
      body: jpeg.subarray(0, 50),
      headers: { ...tus, "upload-offset": "0" }
    })
    expect([half.status, half.headers.get("upload-offset")]).toEqual([204, "50"])
    const early = await citizen.post("/v1/cases/traffic-report", reportBody([id]))
    expectProblem("too early", early, { status: 400, type: "invalid-input", pointers: ["/attachments/0"] })
    const wrong = await citizen.call("PATCH", `/v1/uploads/${id}`, {
      body: jpeg.subarray(60),
      headers: { ...tus, "upload-offset": "60" }
    })
    expectProblem("at another place", wrong, { status: 409, type: "wrong-offset" })
    const tooMuch = await rawCall(
      kit.url,
      "PATCH",
      `/t/samarkand/v1/uploads/${id}`,
      { ...citizen.headers, ...tus, "upload-offset": "50", "content-length": String(jpeg.length + 500) },
      Buffer.concat([jpeg.subarray(50), Buffer.alloc(550)])
    )
    expect(tooMuch.status).toBeGreaterThanOrEqual(400)
    expect(tooMuch.status).toBeLessThan(500)
    const head = await citizen.call("HEAD", `/v1/uploads/${id}`, { headers: { "tus-resumable": "1.0.0" } })
    const offset = Number(head.headers.get("upload-offset"))
    await citizen.call("PATCH", `/v1/uploads/${id}`, {
      body: jpeg.subarray(offset),
      headers: { ...tus, "upload-offset": String(offset) }
    })
    expect((await citizen.get(`/v1/uploads/${id}`)).body).toMatchObject({ state: "stored", size: jpeg.length })
  })

  test("go_to_the_inspector_with_a_word_when_only_the_encoder_notices", async () => {
    const sound = pretendedMedium({ kind: "sound", width: 0, height: 0, duration: 3 })
    const bomb = pretendedMedium({ kind: "image", width: 50_000, height: 50_000 })
    const torn = Buffer.from(pretendedMedium({ kind: "video", width: 640, height: 480, duration: 3 })).subarray(0, 60)
    for (const [name, bytes, reason] of [
      ["a film without a picture", sound, "NoVideo"],
      ["a bomb", bomb, "TooLarge"],
      ["a torn film", torn, "NotMedia"]
    ] as const) {
      const { answer, id } = await upload(citizen, bytes, "evidence.bin")
      expect([name, answer.status]).toEqual([name, 201])
      const good = await upload(citizen, picture(), "good.jpg")
      const { body } = await citizen.post("/v1/cases/traffic-report", reportBody([id, good.id]))
      const view = await reviewed(body.id)
      expect([name, view.data.mediaProblem]).toEqual([name, expect.stringMatching(`^evidence\\.bin: .*${reason}`)])
      // What is good beside it was worked on all the same.
      const files = (await kit.samarkand.staff.inspector.get(`${at(body.id)}/attachments`)).body.items
      expect(files.filter((file: { kind: string }) => file.kind === "poster")).toHaveLength(1)
    }
  })
})

describe("machines that fail", () => {
  test("a_full_disk_refuses_what_it_cannot_keep_and_keeps_what_it_took", async () => {
    const before = await report(citizen)
    broken.disk = true
    const bytes = picture()
    const { answer, id } = await upload(citizen, bytes, "car.jpg")
    expect([answer.status, answer.headers.get("retry-after") === null]).toEqual([503, false])
    expectProblem("while it is full", answer, { status: 503, type: "unavailable" })
    expect((await citizen.get(at(before.id))).status).toBe(200)
    broken.disk = false
    // The upload goes on from what is safe, under its own address where the sender learned it.
    const again = id === "" ? await upload(citizen, bytes, "car.jpg") : { id, answer }
    if (id !== "") {
      const head = await citizen.call("HEAD", `/v1/uploads/${id}`, { headers: { "tus-resumable": "1.0.0" } })
      const offset = Number(head.headers.get("upload-offset"))
      await citizen.call("PATCH", `/v1/uploads/${id}`, {
        body: bytes.subarray(offset),
        headers: { ...tus, "upload-offset": String(offset) }
      })
    }
    const made = await citizen.post("/v1/cases/traffic-report", reportBody([again.id]))
    expect(made.status).toBe(201)
    await reviewed(before.id)
    await reviewed(made.body.id)
  })

  test("a_disk_that_fills_up_while_copies_are_made_only_delays_them", async () => {
    const { id: file } = await upload(citizen, picture(), "car.jpg")
    broken.disk = true
    const made = await citizen.post("/v1/cases/traffic-report", reportBody([file]))
    expect(made.status).toBe(201)
    await until("a try has failed", async () => {
      const rows = await kit.sql("select from mahalla.job where topic = 'reports.process' and last_error is not null")
      return rows.length > 0
    })
    expect((await citizen.get(at(made.body.id))).body.state).toBe("processing")
    broken.disk = false
    expect((await reviewed(made.body.id)).data).not.toHaveProperty("mediaProblem")
  })

  test("an_encoder_that_is_killed_is_started_again", async () => {
    broken.encoder = 2
    const { id } = await report(citizen)
    expect((await reviewed(id)).data).not.toHaveProperty("mediaProblem")
    expect(broken.encoder).toBe(0)
  })

  test("an_encoder_that_is_late_still_copies_what_was_merged_meanwhile", async () => {
    broken.encoder = 5
    const [kept, duplicate] = [await report(citizen), await report(citizen)]
    const { inspector } = kit.samarkand.staff
    expect((await inspector.post(`${at(duplicate.id)}/merge`, { into: kept.id })).status).toBe(204)
    expect((await reviewed(kept.id)).state).toBe("in-review")
    await until("the duplicate's poster", async () => {
      const { items } = (await inspector.get(`${at(duplicate.id)}/attachments`)).body
      return items.some((file: { kind: string }) => file.kind === "poster")
    })
    expect((await inspector.get(at(duplicate.id))).body.state).toBe("merged")
  })

  test("a_detector_that_hangs_is_given_up_and_the_report_goes_on_without_it", async () => {
    broken.detector = true
    const { id } = await report(citizen)
    const view = await reviewed(id, 90)
    broken.detector = false
    expect(view.data.mediaProblem).toMatch(/detector said nothing/)
    const violations = await kit.samarkand.staff.inspector.get(`/v1/cases?type=traffic-violation&parent=${id}`)
    expect(violations.body.items).toHaveLength(1)
    // What could not be looked at is not shown in the clear: whoever decides opens the original.
    const { items } = (await kit.samarkand.staff.inspector.get(`${at(id)}/attachments`)).body
    expect(items.map(({ role }: { role: string }) => role)).toEqual(["original"])
    // It kept nobody waiting afterwards.
    expect((await reviewed((await report(citizen)).id)).data).not.toHaveProperty("mediaProblem")
  })

  test("a_queue_that_is_away_takes_nothing_back_that_was_promised", async () => {
    broken.queue = true
    const key = { "idempotency-key": newKey() }
    const { id: file } = await upload(citizen, picture(), "car.jpg")
    const made = await citizen.post("/v1/cases/traffic-report", reportBody([file]), key)
    expect(made.status).toBe(201)
    expect((await citizen.get("/health/live")).status).toBe(200)
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect((await citizen.get(at(made.body.id))).body.state).toBe("submitted")
    broken.queue = false
    await reviewed(made.body.id)
    const again = await citizen.post("/v1/cases/traffic-report", reportBody([file]), key)
    // The body names another moment than the first, so it is another request.
    expect([201, 422]).toContain(again.status)
    const cases = await kit.sql("select from mahalla.civic_case where data ->> 'offence' = 'red-light' and id = $1", [
      made.body.id
    ])
    expect(cases).toHaveLength(1)
  })

  test("leave_no_dead_letter_and_no_report_behind", async () => {
    const dead = await kit.samarkand.staff["municipality-admin"].get("/v1/dead-letters")
    expect(dead.body.items).toEqual([])
    const stuck = await kit.sql(
      "select from mahalla.civic_case where type = 'traffic-report' and state not in ('in-review', 'merged')"
    )
    expect(stuck).toHaveLength(0)
  })
})
