/** What else can happen to a report than that it is decided and paid at once: with everything real. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { type CityKit, report, reportBody } from "./cityKit.ts"
import { type Client, until, upload } from "./client.ts"
import { inState, openMainJob, photographs, stateOf, violationAt, violationsOf } from "./mainJob.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let citizen: Client & { readonly id: string }

beforeAll(async () => {
  kit = await openMainJob()
  citizen = await kit.samarkand.citizen("+998903000001")
})
afterAll(async () => {
  await kit?.close()
})

describe("what else can happen to a report", () => {
  const decideAll = async (id: string, transition: string, input: object) => {
    for (const violation of await violationsOf(kit, id)) {
      const at = violationAt(violation as never)
      const answer = await kit.samarkand.staff.inspector.post(`${at}/transitions/${transition}`, input)
      expect([transition, answer.status]).toEqual([transition, 200])
    }
  }
  const plateOf = { plate: "01A777AA" }
  /** These pictures are none to ffmpeg: the report goes to the inspectors with a word about it. */
  const reviewed = async (client: Client) => {
    const { id } = await report(client)
    const path = `/v1/cases/traffic-report/${id}`
    await inState(kit.samarkand.staff.inspector, path, "in-review")
    return { id, path }
  }

  test("media_that_cannot_be_read_go_to_the_inspector_with_a_word_about_it", async () => {
    const { path } = await reviewed(citizen)
    expect((await kit.samarkand.staff.inspector.get(path)).body.data.mediaProblem).toMatch(/^photo\.jpg: /)
  })

  test("rejected_appealed_and_decided_the_other_way", async () => {
    const { id, path } = await reviewed(citizen)
    await decideAll(id, "reject", { reason: "The light was green" })
    await inState(citizen, path, "decided")
    const appeal = await citizen.post(`${path}/transitions/appeal`, { reason: "It was not: see second three" })
    expect([appeal.status, appeal.body.state]).toEqual([200, "in-review"])
    expect((await violationsOf(kit, id)).map((violation) => violation["state"])).toEqual(["proposed"])
    await decideAll(id, "accept", plateOf)
    const accepted = (await violationsOf(kit, id))[0]!["id"]
    await inState(citizen, path, "decided")
    await until("paid", async () => {
      const { body } = await citizen.get("/v1/payouts")
      return body.items.some(
        (one: { caseId: string; state: string }) => one.caseId === accepted && one.state === "succeeded"
      )
    })
  })

  test("withdrawn_while_nothing_is_accepted_and_not_afterwards", async () => {
    const first = await reviewed(citizen)
    const withdrawn = await citizen.post(`${first.path}/transitions/withdraw`)
    expect([withdrawn.status, withdrawn.body.state, withdrawn.body.phase]).toEqual([200, "withdrawn", "closed"])
    expectProblem("twice", await citizen.post(`${first.path}/transitions/withdraw`), {
      status: 409,
      type: "wrong-state"
    })
    const second = await reviewed(citizen)
    const { inspector } = kit.samarkand.staff
    const added = await inspector.post(`${second.path}/transitions/add-violation`, {
      offence: "parking",
      plate: "01B111BB"
    })
    expect(added.status).toBe(200)
    const [one, two] = await violationsOf(kit, second.id)
    await inspector.post(`${violationAt(one as never)}/transitions/accept`, plateOf)
    expectProblem("after an acceptance", await citizen.post(`${second.path}/transitions/withdraw`), {
      status: 422,
      type: "refused"
    })
    await inspector.post(`${violationAt(two as never)}/transitions/reject`, { reason: "Not this one" })
    await inState(citizen, second.path, "decided")
  })

  test("anonymous_and_therefore_without_a_reward", async () => {
    const { visitor } = kit.samarkand
    const { answer, id: file } = await upload(visitor, readFileSync(join(photographs, "test_021.jpg")), "a.jpg")
    expect(answer.status).toBe(201)
    expectProblem(
      "without the secret",
      await visitor.post("/v1/cases/traffic-report", reportBody([file.split(".")[0]!])),
      {
        status: 400,
        type: "invalid-input",
        pointers: ["/attachments/0"]
      }
    )
    const made = await visitor.post("/v1/cases/traffic-report", reportBody([file]))
    expect(made.status).toBe(201)
    const path = `/v1/cases/traffic-report/${made.body.id}`
    const { inspector } = kit.samarkand.staff
    await inState(inspector, path, "in-review")
    expect((await inspector.get(path)).body.ownerId).toBeNull()
    await decideAll(made.body.id, "accept", plateOf)
    await inState(inspector, path, "decided")
    const [violation] = await violationsOf(kit, made.body.id)
    expect(violation!["data"]).toMatchObject({ reward: 0 })
    const payouts = await kit.sql("select from mahalla.payout where case_id = $1", [(violation as never)["id"]])
    expect(payouts).toHaveLength(0)
    expectProblem("nobody reads it", await visitor.get(path), { status: 404, type: "not-found" })
  })

  test("told_twice_and_merged_into_one_with_all_its_evidence", async () => {
    const second = await kit.samarkand.citizen("+998903000003")
    const [one, two] = [await reviewed(citizen), await reviewed(second)]
    const { inspector } = kit.samarkand.staff
    const suggested = await inspector.get(`${two.path}/duplicates`)
    expect(suggested.body.items.map((item: { case: { id: string } }) => item.case.id)).toContain(one.id)
    expect((await citizen.get(`${one.path}/duplicates`)).status).toBe(403)
    const merged = await inspector.post(`${two.path}/merge`, { into: one.id })
    expect([merged.status, await stateOf(second, two.path)]).toEqual([204, "merged"])
    const files = (await inspector.get(`${one.path}/attachments`)).body.items as ReadonlyArray<Record<string, string>>
    expect(files.filter((file) => file["role"] === "original")).toHaveLength(2)
    const hearers = await kit.sql<{ principal_id: string }>(
      "select principal_id from mahalla.case_subscriber where case_id = $1",
      [one.id]
    )
    expect(hearers.map((row) => row.principal_id)).toEqual([second.id])
    const links = (await inspector.get(`${two.path}/links`)).body.items as ReadonlyArray<{ kind: string }>
    expect(links.map((link) => link.kind)).toContain("duplicate-of")
    const again = await inspector.get(`${one.path}/duplicates`)
    expect(again.body.items.map((item: { case: { id: string } }) => item.case.id)).not.toContain(two.id)
  })

  test("of_an_offence_whose_fine_changes_keeps_the_fine_it_was_decided_with", async () => {
    const { "municipality-admin": admin, inspector } = kit.samarkand.staff
    const catalogue = (await citizen.get("/v1/offences")).body.items as ReadonlyArray<Record<string, unknown>>
    const parking = catalogue.find((offence) => offence["code"] === "parking")!
    const { id } = await report(citizen, { offence: "parking", plate: "01C222CC" })
    await inState(inspector, `/v1/cases/traffic-report/${id}`, "in-review")
    await decideAll(id, "accept", {})
    const changed = await admin.call("PUT", "/v1/offences/parking", { body: { ...parking, fine: 99 } })
    expect([changed.status, changed.body.fine]).toEqual([200, 99])
    const [violation] = await violationsOf(kit, id)
    expect(violation!["data"]).toMatchObject({ fine: 10_000_000, reward: 0 })
    expect((await inspector.call("PUT", "/v1/offences/parking", { body: parking })).status).toBe(403)
  })
})
