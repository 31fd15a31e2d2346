/** The main job over HTTP with everything real: a photograph and a film are sent, encoded, read, decided, paid and told. */
import { createHash } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { makePlateClip } from "../../../../scripts/make-plate-clip.ts"
import { type Client, follow, newKey, type SeenEvent, until, upload } from "./client.ts"
import { type CityKit, report, reportBody } from "./cityKit.ts"
import { inState, openMainJob, photographs, stateOf, violationAt, violationsOf } from "./mainJob.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let folder: string
let citizen: Client & { readonly id: string }
const phone = "+998903000001"
let feed: Awaited<ReturnType<typeof follow>>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mahalla-main-job-"))
  kit = await openMainJob()
  citizen = await kit.samarkand.citizen(phone)
  feed = await follow(citizen, "0")
})
afterAll(async () => {
  await feed?.stop()
  await kit?.close()
  await rm(folder, { recursive: true, force: true })
})

/** The processes below this one that write a copy of a film. */
const encoders = () =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => read(pid, "cmdline").includes("file:copy.mp4") && isBelow(pid))
const isBelow = (pid: number): boolean => {
  const parent = Number(/\) \S+ (\d+)/.exec(read(pid, "stat"))?.[1] ?? 0)
  return parent === process.pid || (parent > 1 && isBelow(parent))
}
const read = (pid: number, file: string) => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8")
  } catch {
    // It has ended meanwhile.
    return ""
  }
}

describe("a photograph", () => {
  let path: string
  let id: string
  let original: string

  test("is_sent_kept_and_reported_once", async () => {
    const bytes = readFileSync(join(photographs, "eu8.jpg"))
    const sent = await upload(citizen, bytes, "car.jpg")
    expect(sent.answer.status).toBe(201)
    original = sent.id
    const kept = await citizen.get(`/v1/uploads/${original}`)
    expect(kept.body).toMatchObject({ state: "stored", size: bytes.length, mediaType: "image/jpeg" })
    expect(kept.body.sha256).toBe(createHash("sha256").update(bytes).digest("hex"))
    expect(kept.body.receipt).toMatch(/^ey/)
    const key = { "idempotency-key": newKey() }
    const body = reportBody([original], { description: "It ran the red light" })
    const answers = await Promise.all([1, 2, 3, 4].map(() => citizen.post("/v1/cases/traffic-report", body, key)))
    const made = answers.filter((answer) => answer.status === 201)
    for (const answer of answers.filter((one) => one.status !== 201))
      expectProblem("while the first runs", answer, { status: 409, type: "in-progress" })
    const again = await citizen.post("/v1/cases/traffic-report", body, key)
    expect([again.status, again.headers.get("idempotency-replayed")]).toEqual([201, "true"])
    expect(new Set([...made, again].map((answer) => answer.body.id)).size).toBe(1)
    id = again.body.id
    path = `/v1/cases/traffic-report/${id}`
    expect(again.headers.get("location")).toBe(`/t/samarkand${path}`)
    expect(again.headers.get("etag")).toBe('"1"')
    expect(
      await kit.sql("select from mahalla.civic_case where tenant_id = $1 and type = 'traffic-report'", [
        kit.samarkand.id
      ])
    ).toHaveLength(1)
  })

  test("is_read_by_the_detector_and_proposed_as_a_violation", async () => {
    await inState(citizen, path, "in-review")
    const { inspector } = kit.samarkand.staff
    const { body } = await inspector.get(`/v1/reports/${id}/findings`)
    expect(body.items[0]).toMatchObject({ kind: "plate", text: "WSQ3021", certain: true, attachmentId: original })
    const violations = await violationsOf(kit, id)
    expect(violations.map((violation) => [violation["state"], violation["data"]!["plate"]])).toEqual([
      ["proposed", "WSQ3021"]
    ])
    const files = (await inspector.get(`${path}/attachments`)).body.items as ReadonlyArray<Record<string, string>>
    expect(files.map((file) => file["kind"]).toSorted((a, b) => (a! < b! ? -1 : 1))).toEqual(["image", "poster"])
    // The copy that people see has lost what the camera wrote into the original; the original is sealed.
    const poster = files.find((file) => file["kind"] === "poster")!
    const content = await inspector.get(`/v1/attachments/${poster["id"]}/content`, { range: "bytes=0-1" })
    expect([content.status, content.headers.get("content-range")]).toEqual([206, `bytes 0-1/${poster["size"]}`])
    const sealed = `/v1/attachments/${original}/content`
    expect((await inspector.get(sealed)).headers.get("content-type")).toBe("image/jpeg")
    for (const reader of [citizen, kit.samarkand.staff.dispatcher])
      expectProblem("the original", await reader.get(sealed), { status: 403, type: "forbidden" })
  })

  test("is_decided_by_one_inspector_at_a_time_on_what_they_saw", async () => {
    const { dispatcher, inspector } = kit.samarkand.staff
    const colleague = await kit.samarkand.staffMember(["inspector"])
    const [violation] = await violationsOf(kit, id)
    const at = violationAt(violation as never)
    const claims = await Promise.all([inspector, colleague, inspector].map((one) => one.post(`${at}/claim`, {})))
    // Whoever comes first holds it, and may say so again.
    const first = claims[1]!.status === 409
    expect(claims.map((answer) => answer.status)).toEqual(first ? [200, 409, 200] : [409, 200, 409])
    const [holder, other] = first ? [inspector, colleague] : [colleague, inspector]
    expectProblem("while it is claimed", await other.post(`${at}/transitions/accept`, {}), {
      status: 409,
      type: "claimed"
    })
    expect((await holder.call("DELETE", `${at}/claim`)).status).toBe(204)
    const seen = await inspector.get(at)
    const assigned = await dispatcher.call("PUT", `${at}/assignee`, { body: { assigneeId: colleague.id } })
    expect(assigned.body.assigneeId).toBe(colleague.id)
    const stale = await inspector.post(`${at}/transitions/accept`, {}, { "if-match": seen.headers.get("etag")! })
    expectProblem("a decision on what has changed", stale, { status: 412, type: "version-conflict" })
    expect(await stateOf(inspector, at)).toBe("proposed")
    const fresh = await inspector.get(at)
    const headers = { "if-match": fresh.headers.get("etag")!, "idempotency-key": newKey() }
    const decided = await inspector.post(`${at}/transitions/accept`, { note: "Clearly visible" }, headers)
    expect([decided.status, decided.body.state]).toEqual([200, "accepted"])
    expect(decided.body.data).toMatchObject({ fine: 68_000_000, reward: 10_200_000, note: "Clearly visible" })
    const repeated = await inspector.post(`${at}/transitions/accept`, { note: "Clearly visible" }, headers)
    expect([repeated.status, repeated.body.version]).toEqual([200, decided.body.version])
    await inState(citizen, path, "decided")
    // The owner sees the decision, not the note among staff.
    expect((await citizen.get(at)).body.data).toMatchObject({ reward: 10_200_000 })
    expect((await citizen.get(at)).body.data).not.toHaveProperty("note")
  })

  test("is_rewarded_once_though_the_answer_of_the_rail_was_lost", async () => {
    const [violation] = await violationsOf(kit, id)
    const at = violationAt(violation as never)
    const paid = await until("paid", async () => {
      const { body } = await citizen.get("/v1/payouts")
      return body.items[0]?.state === "succeeded" && body.items
    })
    expect(paid).toHaveLength(1)
    expect(paid[0]).toMatchObject({ amount: "10200000", currency: "UZS", payee: "…01" })
    const events = await kit.sql<{ type: string }>(
      "select type from mahalla.event where tenant_id = $1 and type like 'payouts.%' and case_id = $2 order by id",
      [kit.samarkand.id, (violation as never)["id"]]
    )
    expect(events.map((event) => event.type)).toEqual(["payouts.requested", "payouts.unknown", "payouts.succeeded"])
    const transfers = await kit.sql<{ kind: string }>(
      "select kind from mahalla.ledger_transfer where payout_id = $1 order by id",
      [paid[0].id]
    )
    expect(transfers.map((transfer) => transfer.kind)).toEqual(["direct", "reserve", "post"])
    await inState(citizen, at, "rewarded")
    const accounts = (await kit.samarkand.staff.treasurer.get("/v1/accounts")).body.items as ReadonlyArray<
      Record<string, string>
    >
    const balance = (kind: string) => accounts.find((account) => account["kind"] === kind)?.["balance"]
    expect([balance("budget"), balance("clearing")]).toEqual([String(1_000_000_000_000n - 10_200_000n), "10200000"])
    expect(accounts.every((account) => account["reserved"] === "0")).toBe(true)
    const all = (await kit.samarkand.staff.treasurer.get("/v1/payouts")).body.items
    expect(all.map((payout: { id: string }) => payout.id)).toEqual([paid[0].id])
    const stranger = await kit.samarkand.citizen("+998903000002")
    expect((await stranger.get("/v1/payouts")).body.items).toEqual([])
    expectProblem("somebody else's payout", await stranger.get(`/v1/payouts/${paid[0].id}`), {
      status: 404,
      type: "not-found"
    })
  })

  test("is_told_to_its_owner_step_by_step", async () => {
    const texts = await until("the last message", async () => {
      const { body } = await kit.samarkand.staff["municipality-admin"].get(
        `/v1/outbox?to=${encodeURIComponent(phone)}&limit=200`
      )
      const all = body.items as ReadonlyArray<{ text: string; class: string }>
      const notices = all.filter((message) => message.class === "notice").map((message) => message.text)
      return notices.some((text) => text.includes("Mukofotlandi")) && notices
    })
    const { reference } = (await citizen.get(path)).body
    expect(texts.filter((text) => text.includes(reference)).length).toBeGreaterThanOrEqual(4)
    expect(texts.length).toBe(new Set(texts).size)
  })

  test("has_a_timeline_that_each_reader_sees_their_part_of", async () => {
    const { inspector } = kit.samarkand.staff
    expect((await inspector.post(`${path}/comments`, { text: "Thank you" })).status).toBe(201)
    expect((await inspector.post(`${path}/comments`, { text: "Look again", visibility: "internal" })).status).toBe(201)
    expect((await citizen.post(`${path}/comments`, { text: "You are welcome" })).status).toBe(201)
    const texts = async (client: Client) =>
      ((await client.get(`${path}/comments`)).body.items as ReadonlyArray<{ text: string }>).map(({ text }) => text)
    expect(await texts(citizen)).toEqual(["Thank you", "You are welcome"])
    expect(await texts(inspector)).toEqual(["Thank you", "Look again", "You are welcome"])
    const line = async (client: Client) =>
      ((await client.get(`${path}/timeline?limit=200`)).body.items as ReadonlyArray<Record<string, string>>).map(
        ({ to, type }) => to ?? type
      )
    const own = await line(citizen)
    expect(own.filter((step) => /^[a-z-]+$/.test(step!))).toEqual(["submitted", "processing", "in-review", "decided"])
    expect(own.filter((step) => step === "case.commented")).toHaveLength(2)
    expect((await line(inspector)).filter((step) => step === "case.commented")).toHaveLength(3)
  })
})

describe("a film", () => {
  test("is_read_frame_by_frame_and_ends_with_a_violation_for_each_plate", async () => {
    const clip = await makePlateClip({
      output: join(folder, "clip.mp4"),
      seconds: 4,
      names: ["eu8", "test_021"],
      photographs
    })
    const { id: film } = await upload(citizen, readFileSync(clip.path), "clip.mp4", "video/mp4")
    const made = await citizen.post("/v1/cases/traffic-report", reportBody([film]))
    const path = `/v1/cases/traffic-report/${made.body.id}`
    await inState(citizen, path, "in-review", 150)
    const { inspector } = kit.samarkand.staff
    const view = await inspector.get(path)
    expect(view.body.data).not.toHaveProperty("mediaProblem")
    const files = (await inspector.get(`${path}/attachments`)).body.items as ReadonlyArray<Record<string, string>>
    const kinds = new Set(files.map((file) => file["kind"]))
    expect([...kinds].toSorted((a, b) => (a! < b! ? -1 : 1))).toEqual(["frame", "poster", "standard", "video"])
    const violations = await violationsOf(kit, made.body.id)
    const found = violations.map((violation) => String(violation["data"]!["plate"]))
    expect(found.length).toBeGreaterThan(0)
    // Never a guess: every plate that was proposed is one that was filmed.
    for (const text of found) expect(clip.plates.map((plate) => plate.text)).toContain(text)
    const frames = new Set(files.map((file) => file["id"]))
    const { body } = await inspector.get(`/v1/reports/${made.body.id}/findings`)
    for (const finding of body.items) {
      expect(frames.has(finding.frameId)).toBe(true)
      expect(finding.at).toBeGreaterThanOrEqual(0)
      expect(finding.at).toBeLessThanOrEqual(clip.seconds)
    }
    const standard = files.find((file) => file["kind"] === "standard")!
    const content = await citizen.get(`/v1/attachments/${standard["id"]}/content`, { range: "bytes=4-7" })
    expect([content.status, content.text]).toEqual([206, "ftyp"])
  }, 200_000)

  test.skipIf(process.platform !== "linux")(
    "is_encoded_though_ffmpeg_is_killed_in_the_middle",
    async () => {
      const clip = await makePlateClip({ output: join(folder, "long.mp4"), seconds: 10, names: ["eu8"], photographs })
      const { id: film } = await upload(citizen, readFileSync(clip.path), "long.mp4", "video/mp4")
      const made = await citizen.post("/v1/cases/traffic-report", reportBody([film]))
      const victim = await until("ffmpeg making the copy", async () => encoders()[0], 60)
      process.kill(victim, "SIGKILL")
      await until("the try counted", async () => {
        const rows = await kit.sql(
          "select from mahalla.job where topic = 'reports.process' and body ->> 'caseId' = $1 and last_error is not null",
          [made.body.id]
        )
        return rows.length > 0
      })
      const path = `/v1/cases/traffic-report/${made.body.id}`
      await inState(citizen, path, "in-review", 150)
      expect((await citizen.get(path)).body.data).not.toHaveProperty("mediaProblem")
      const files = (await citizen.get(`${path}/attachments`)).body.items as ReadonlyArray<Record<string, string>>
      expect(files.filter(({ kind }) => kind === "standard")).toHaveLength(1)
    },
    200_000
  )
})

describe("the live feed", () => {
  test("goes_on_where_a_lost_connection_left_off", async () => {
    const before = feed.seen.length
    expect(before).toBeGreaterThan(10)
    const cut = feed.seen[Math.floor(before / 2)]!
    const again = await follow(citizen, cut.id)
    const { id } = await report(citizen)
    const isNew = (event: SeenEvent) => event.data.case?.id === id && event.event === "traffic-report.in-review"
    await until("both feeds hear of it", async () => feed.seen.some(isNew) && again.seen.some(isNew))
    const last = feed.seen.find(isNew)!
    const upTo = (events: ReadonlyArray<SeenEvent>) =>
      events
        .filter((event) => BigInt(event.id) > BigInt(cut.id) && BigInt(event.id) <= BigInt(last.id))
        .map((event) => event.id)
    expect(upTo(again.seen)).toEqual(upTo(feed.seen))
    expect(new Set(feed.seen.map((event) => event.id)).size).toBe(feed.seen.length)
    const positions = feed.seen.map((event) => BigInt(event.id))
    expect(positions).toEqual(positions.toSorted((a, b) => (a < b ? -1 : 1)))
    await again.stop()
    // A citizen hears of their own cases only.
    const own = new Set((await citizen.get("/v1/cases?limit=200")).body.items.map((one: { id: string }) => one.id))
    expect(feed.seen.filter((event) => !own.has(event.data.case?.id))).toEqual([])
  })
})
