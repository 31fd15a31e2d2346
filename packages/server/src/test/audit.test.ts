/**
 * An outsider's view of the audit log: what the doors give, judged by the separate verifier as a process of its own, and what it says when
 * somebody has had a hand in the export, in the checkpoints, or in the database itself.
 */
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { verifyConsistency, verifyInclusion } from "@mahalla/core"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type Client, until } from "./client.ts"
import { type CityKit, openCityKit, report } from "./cityKit.ts"

let kit: CityKit
let auditor: Client
/** Files as an outsider keeps them. */
let folder: string

const verifier = join(import.meta.dirname, "../../../cli/src/audit/main.ts")

interface Verdict {
  readonly code: number | null
  // oxlint-disable-next-line typescript/no-explicit-any -- the verifier's own words, with and without a fault
  readonly said: any
  readonly text: string
}

const run = (...args: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number | null; readonly text: string }>((resolve) => {
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", verifier, ...args])
    let text = ""
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (text += chunk.toString()))
    child.once("close", (code) => resolve({ code, text }))
  })

/** The verdict on an export and checkpoints given as text. */
const judge = async (log: string, checkpoints: string): Promise<Verdict> => {
  const [file, signed] = [join(folder, "audit.ndjson"), join(folder, "checkpoints")]
  writeFileSync(file, log)
  writeFileSync(signed, checkpoints)
  const { code, text } = await run(file, "--checkpoint", signed, "--key", join(folder, "jwks.json"), "--json")
  return { code, text, said: text.startsWith("{") ? JSON.parse(text) : undefined }
}

/** The file's whole lines; the first one comes a moment after the first checkpoint. */
const written = () => {
  const file = join(kit.home, "checkpoints", `${kit.samarkand.id}.checkpoints`)
  const text = existsSync(file) ? readFileSync(file, "utf8") : ""
  return text.slice(0, text.lastIndexOf("\n") + 1)
}
const sizes = (checkpoints: string) =>
  checkpoints
    .split("\n")
    .slice(0, -1)
    .map((line) => Number(JSON.parse(Buffer.from(line.split(".")[1]!, "base64url").toString()).size))

const exported = async (query = "") => (await auditor.get(`/v1/audit/export${query}`)).text
const linesOf = (log: string) => log.split("\n").slice(0, -1)
const hash = (text: string) => Buffer.from(text, "base64url")

/** Everything that has happened is under a checkpoint that stands in the file. */
const sealed = () =>
  until("sealed", async () => {
    const [row] = await kit.sql<{ head: string; open: string }>(
      `select (select position from mahalla.event_head where tenant_id = $1)::text as head,
              (select count(*) from mahalla.event_outbox)::text as open`,
      [kit.samarkand.id]
    )
    const { body } = await auditor.get("/v1/audit/checkpoint")
    return row!.open === "0" && String(body.size) === row!.head && sizes(written()).at(-1) === body.size
  })

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl"), config: { audit: { checkpointEvery: 0.5 } } })
  auditor = kit.samarkand.staff.auditor
  folder = join(kit.home, "outsider")
  mkdirSync(folder)
  writeFileSync(join(folder, "jwks.json"), (await kit.samarkand.visitor.get("/.well-known/jwks.json")).text)
  for (const phone of ["+998900000011", "+998900000012", "+998900000013"]) {
    await report(await kit.samarkand.citizen(phone), { description: `Seen by ${phone}` })
    await sealed()
  }
  await report(await kit.bukhara.citizen("+998900000014"))
})
afterAll(() => kit?.close())

describe("the audit log", () => {
  test("convinces_an_outsider_who_has_an_export_and_the_checkpoints", async () => {
    await sealed()
    const log = await exported()
    const { code, said } = await judge(log, written())
    expect([code, said.verified, said.events, said.tenant]).toEqual([0, true, linesOf(log).length, kit.samarkand.id])
    expect(said.unsigned).toBe(0)
    expect(said.checkpoints).toBeGreaterThanOrEqual(3)
    expect(said.root).toBe((await auditor.get("/v1/audit/checkpoint")).body.root)
    const forPeople = await run(
      ...[join(folder, "audit.ndjson"), "--checkpoint", join(folder, "checkpoints")],
      ...["--key", `${kit.url}/.well-known/jwks.json`]
    )
    expect(forPeople.text).toMatch(/^verified: \d+ events, root [\w-]{43}, /)
    // Whoever has a part goes on from there.
    const half = Math.floor(linesOf(log).length / 2)
    const grown = `${linesOf(log).slice(0, half).join("\n")}\n${await exported(`?from=${half + 1}`)}`
    expect(grown).toBe(log)
    // No phone number is in it, only that there was one.
    expect(log).not.toContain("+99890000001")
    expect(log).toContain('"commitments":{"')
  })

  test("gives_proofs_that_hold_without_the_log", async () => {
    const { body: latest } = await auditor.get("/v1/audit/checkpoint")
    const lines = linesOf(await exported()).map((line) => JSON.parse(line) as { hash: string; leaf: { id: string } })
    for (const [index, { hash: leaf, leaf: event }] of lines.entries()) {
      const { body } = await auditor.get(`/v1/audit/inclusion?event=${event.id}`)
      expect([body.position, body.size, body.root]).toEqual([index + 1, latest.size, latest.root])
      expect(hash(body.leaf).toString("hex")).toBe(leaf)
      const proof = {
        place: index,
        size: body.size,
        leaf: hash(body.leaf),
        root: hash(body.root),
        path: body.path.map(hash)
      }
      expect(verifyInclusion(proof)).toBe(true)
    }
    const { body: listed } = await auditor.get("/v1/audit/checkpoints?limit=200")
    expect(listed.items.map((one: { signed: string }) => `${one.signed}\n`).join("")).toBe(written())
    const first = listed.items[0]
    const { body } = await auditor.get(`/v1/audit/consistency?from=${first.size}`)
    expect([body.fromRoot, body.to, body.toRoot]).toEqual([first.root, latest.size, latest.root])
    const [from, to] = [
      { size: body.from, root: hash(first.root) },
      { size: body.to, root: hash(latest.root) }
    ]
    expect(verifyConsistency({ from, to, path: body.path.map(hash) })).toBe(true)
    const page = (await auditor.get("/v1/audit/checkpoints?limit=1")).body
    const next = (await auditor.get(`/v1/audit/checkpoints?limit=1&cursor=${page.cursor}`)).body
    expect([page.items[0].size, next.items[0].size]).toEqual(
      listed.items.slice(0, 2).map((one: { size: number }) => one.size)
    )
  })

  test("refuses_what_cannot_be_proved_and_whoever_may_not_ask", async () => {
    const { body: latest } = await auditor.get("/v1/audit/checkpoint")
    const theirs = await kit.sql<{ id: string }>(
      "select event_id as id from mahalla.event_order where tenant_id = $1",
      [kit.bukhara.id]
    )
    const beyond = latest.size + 1
    const asked: ReadonlyArray<readonly [string, number, string]> = [
      [`inclusion?event=${theirs[0]!.id}`, 404, "not-found"],
      ["inclusion?event=0198a1c0-0000-7000-8000-000000000001", 404, "not-found"],
      [`inclusion?position=${beyond}`, 404, "not-found"],
      ["inclusion", 400, "invalid-input"],
      ["inclusion?position=0", 400, "invalid-input"],
      ["inclusion?position=1.5", 400, "invalid-input"],
      [`inclusion?event=${theirs[0]!.id}&position=1`, 400, "invalid-input"],
      ["inclusion?position=2&size=1", 400, "invalid-input"],
      [`inclusion?position=2&size=${beyond}`, 400, "invalid-input"],
      ["consistency", 400, "invalid-input"],
      ["consistency?from=0", 400, "invalid-input"],
      ["consistency?from=3&to=2", 400, "invalid-input"],
      [`consistency?from=1&to=${beyond}`, 400, "invalid-input"],
      ["consistency?from=1&to=99999999999999999999", 400, "invalid-input"],
      ["export?from=0", 400, "invalid-input"],
      ["checkpoints?cursor=x", 400, "invalid-input"]
    ]
    for (const [path, status, kind] of asked) {
      const answer = await auditor.get(`/v1/audit/${path}`)
      expect([path, answer.status, answer.body.type]).toEqual([path, status, `urn:mahalla:problem:${kind}`])
    }
    expect((await auditor.get(`/v1/audit/export?from=${beyond}`)).text).toBe("")
    const citizen = await kit.samarkand.citizen("+998900000015")
    for (const path of ["checkpoint", "checkpoints", "inclusion?position=1", "consistency?from=1", "export"]) {
      for (const somebody of [citizen, kit.samarkand.staff.inspector])
        expect([path, (await somebody.get(`/v1/audit/${path}`)).status]).toEqual([path, 403])
      expect((await kit.samarkand.staff["municipality-admin"].get(`/v1/audit/${path}`)).status).toBe(200)
    }
  })

  test("names_the_first_bad_place_of_an_export_and_of_checkpoints", async () => {
    await sealed()
    const [log, signed] = [await exported(), written()]
    const lines = linesOf(log)
    const at = Math.floor(lines.length / 2)
    const text = (changed: ReadonlyArray<string>) => changed.map((line) => `${line}\n`).join("")
    const eventAt = (index: number) => JSON.parse(lines[index]!).leaf.id
    const edited = lines[at]!.replace('"payload":{', '"payload":{"x":1,')
    const swapped = [...lines.slice(0, at), lines[at + 1]!, lines[at]!, ...lines.slice(at + 2)]
    const checkpoints = signed.trim().split("\n")
    const [header, body, signature] = checkpoints[0]!.split(".") as [string, string, string]
    const forged = [
      header,
      Buffer.from(JSON.stringify({ ...JSON.parse(hash(body).toString()), size: 1 })).toString("base64url"),
      signature
    ].join(".")
    const cases: ReadonlyArray<readonly [string, string, string, number, object]> = [
      [
        "edited",
        text(lines.with(at, edited)),
        signed,
        11,
        { fault: "changed-leaf", position: at + 1, event: eventAt(at) }
      ],
      ["another name", log.replace(eventAt(at), eventAt(0)), signed, 11, { fault: "changed-leaf", position: at + 1 }],
      ["missing", text(lines.toSpliced(at, 1)), signed, 12, { fault: "missing-position", position: at + 1 }],
      ["missing at the start", text(lines.slice(1)), signed, 12, { fault: "missing-position", position: 1 }],
      ["swapped", text(swapped), signed, 13, { fault: "reordered", position: at + 1, event: eventAt(at) }],
      ["twice", text(lines.toSpliced(at, 0, lines[at]!)), signed, 13, { fault: "reordered", position: at + 2 }],
      ["cut", text(lines.slice(0, -2)), signed, 14, { fault: "cut-tail", position: lines.length - 1 }],
      ["emptied", "", signed, 14, { fault: "cut-tail", position: 1 }],
      ["forged", log, text([forged, ...checkpoints]), 15, { fault: "bad-signature" }],
      ["unsigned", log, text([`${header}.${body}.`]), 15, { fault: "bad-signature" }],
      ["torn", log.slice(0, -20), signed, 10, { fault: "malformed" }],
      ["no checkpoint", log, "\n", 10, { fault: "malformed" }]
    ]
    for (const [what, changed, kept, code, expected] of cases) {
      const verdict = await judge(changed, kept)
      expect([what, verdict.code]).toEqual([what, code])
      expect(verdict.said).toMatchObject({ verified: false, ...expected })
    }
    // An export that is newer than the checkpoints is fine as far as they reach.
    const older = await judge(log, text(checkpoints.slice(0, 1)))
    expect([older.code, older.said.unsigned]).toEqual([0, lines.length - sizes(signed)[0]!])
  })

  test("shows_a_hand_in_the_database_that_has_covered_its_tracks", async () => {
    await sealed()
    const kept = written()
    const rows = linesOf(await exported()).map(
      (line) => JSON.parse(line) as { position: number; hash: string; leaf: { id: string } }
    )
    const [, second] = sizes(kept)
    const victim = rows[second! - 1]!
    const mine = [kit.samarkand.id, victim.leaf.id]
    const before = await kit.sql<{ payload: string }>(
      "select payload::text from mahalla.event where tenant_id = $1 and id = $2",
      mine
    )
    // One value, in the table alone.
    await kit.sql(
      `update mahalla.event set payload = payload || '{"changed":true}' where tenant_id = $1 and id = $2`,
      mine
    )
    const changed = await judge(await exported(), kept)
    expect([changed.code, changed.said.fault, changed.said.position, changed.said.event]).toEqual([
      11,
      "changed-leaf",
      victim.position,
      victim.leaf.id
    ])
    // And its hash in the log, as the verifier itself reckons it: the checkpoint still knows.
    const right = /its hash is ([0-9a-f]{64})/.exec(changed.said.message)![1]
    await kit.sql("set session_replication_role = replica")
    const setHash = (to: string) =>
      kit.sql(
        "update mahalla.log_node set hash = decode($3, 'hex') where tenant_id = $1 and level = 0 and number = $2",
        [kit.samarkand.id, victim.position - 1, to]
      )
    await setHash(right!)
    const rewritten = await judge(await exported(), kept)
    const [first] = sizes(kept)
    expect([rewritten.code, rewritten.said.fault, rewritten.said.position]).toEqual([17, "rewritten", first! + 1])
    expect(rewritten.said.message).toContain(`Positions ${first! + 1} to ${second} are not what was signed`)
    await setHash(victim.hash)
    await kit.sql("update mahalla.event set payload = $3::jsonb where tenant_id = $1 and id = $2", [
      ...mine,
      before[0]!.payload
    ])
    expect((await judge(await exported(), kept)).code).toBe(0)

    // The last events: first only they, then the log's own end with every checkpoint in the database.
    const cut = rows.length - 2
    const tenant = [kit.samarkand.id, cut]
    await kit.sql(
      "delete from mahalla.event_personal p using mahalla.event_order o where p.tenant_id = $1 and o.tenant_id = $1 and o.event_id = p.event_id and o.position > $2",
      tenant
    )
    await kit.sql(
      "delete from mahalla.event e using mahalla.event_order o where e.tenant_id = $1 and o.tenant_id = $1 and o.event_id = e.id and o.position > $2",
      tenant
    )
    await kit.sql("delete from mahalla.event_order where tenant_id = $1 and position > $2", tenant)
    const gone = await judge(await exported(), kept)
    expect([gone.code, gone.said.fault, gone.said.position]).toEqual([18, "missing-content", cut + 1])
    await kit.sql("update mahalla.event_head set position = $2 where tenant_id = $1", tenant)
    await kit.sql("delete from mahalla.log_node where tenant_id = $1 and (number + 1) * 2 ^ level > $2", tenant)
    await kit.sql("delete from mahalla.log_checkpoint where tenant_id = $1 and size > $2", tenant)
    await kit.sql("set session_replication_role = origin")
    const shorter = await judge(await exported(), kept)
    expect([shorter.code, shorter.said.fault, shorter.said.position]).toEqual([14, "cut-tail", cut + 1])

    // The city goes on as if nothing had been, and signs it: two pasts, both under its own signature.
    await report(await kit.samarkand.citizen("+998900000016"))
    const forked = await until("another past is signed", async () => {
      const { body } = await auditor.get("/v1/audit/checkpoints?limit=200")
      const later = body.items.filter((one: { size: number }) => one.size >= sizes(kept).at(-1)!)
      return later.length > 0 && (later as ReadonlyArray<{ size: number; signed: string }>)
    })
    const other = await judge(await exported(), kept)
    expect([other.code, other.said.fault]).toEqual([17, "rewritten"])
    expect(other.said.position).toBeLessThanOrEqual(cut + 1)
    const both = await judge(await exported(), `${kept}${forked.map(({ signed }) => `${signed}\n`).join("")}`)
    const same = forked.some(({ size }) => size === sizes(kept).at(-1))
    expect([both.code, both.said.fault]).toEqual(same ? [16, "fork"] : [17, "rewritten"])
  })
})
