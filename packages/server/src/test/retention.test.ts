/** What is dropped by age, as operators and outsiders see it. */
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { until } from "./client.ts"
import { type CityKit, openCityKit, report } from "./cityKit.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl"), config: { audit: { checkpointEvery: 0.5 } } })
})
afterAll(() => kit?.close())

test("operators_see_what_would_be_dropped_and_others_do_not", async () => {
  const { samarkand } = kit
  await kit.sql(
    `insert into mahalla.sign_in_code (tenant_id, phone_hash, code_hash, sends, sent_at, expires_at)
     values ($1, 'h', 'c', 1, now() - interval '3 days', now() - interval '3 days')`,
    [samarkand.id]
  )
  const { body } = await samarkand.staff.auditor.get("/v1/retention")
  const by = new Map(body.items.map((item: { kind: string }) => [item.kind, item]))
  expect(by.get("signInCodes")).toEqual({ kind: "signInCodes", days: 1, defaultDays: 1, due: 1 })
  expect(by.get("eventPayloads")).toEqual({ kind: "eventPayloads", days: null, defaultDays: null, due: 0 })
  expect(by.get("messages")).toMatchObject({ days: 180, due: 0 })
  // The dry run drops nothing.
  expect((await kit.sql("select from mahalla.sign_in_code where phone_hash = 'h'")).length).toBe(1)
  for (const who of [samarkand.visitor, samarkand.staff.inspector])
    expectProblem("retention", await who.get("/v1/retention"), { status: 403, type: "forbidden" })
})

test("an_outsider_verifies_a_log_whose_old_payloads_are_gone_when_they_know_up_to_where", async () => {
  const { id, staff } = kit.samarkand
  await report(await kit.samarkand.citizen("+998905500001"))
  const head = await until("all is signed", async () => {
    const [row] = await kit.sql<{ head: string; open: string }>(
      `select (select position from mahalla.event_head where tenant_id = $1)::text as head,
              (select count(*) from mahalla.event_outbox)::text as open`,
      [id]
    )
    const { body } = await staff.auditor.get("/v1/audit/checkpoint")
    return row!.open === "0" && String(body.size) === row!.head && Number(row!.head)
  })
  const edge = head - 2
  await kit.sql("insert into mahalla.event_dropped (tenant_id, position, dropped_at) values ($1, $2, now())", [
    id,
    edge
  ])
  await kit.sql(
    `update mahalla.event e set payload = '{}' from mahalla.event_order o
     where e.tenant_id = $1 and o.tenant_id = $1 and o.event_id = e.id and o.position <= $2`,
    [id, edge]
  )
  const [log, signed, keys] = ["log.ndjson", "kept.checkpoints", "jwks.json"].map((name) => join(kit.home, name))
  const text = (await staff.auditor.get("/v1/audit/export")).text
  const { body } = await staff.auditor.get("/v1/audit/checkpoints?limit=200")
  writeFileSync(signed!, body.items.map((one: { signed: string }) => `${one.signed}\n`).join(""))
  writeFileSync(keys!, (await kit.samarkand.visitor.get("/.well-known/jwks.json")).text)
  const verifier = join(import.meta.dirname, "../../../cli/src/audit/main.ts")
  const judge = (content: string, ...flags: ReadonlyArray<string>) => {
    writeFileSync(log!, content)
    const given = [verifier, log!, "--checkpoint", signed!, "--key", keys!, "--json", ...flags]
    const { status, stdout } = spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", ...given], {
      encoding: "utf8"
    })
    return { code: status, said: JSON.parse(stdout) as Record<string, unknown> }
  }
  expect(judge(text, "--dropped-up-to", String(edge))).toMatchObject({
    code: 0,
    said: { dropped: edge, verified: true }
  })
  // Nobody is told by the export itself how much may be missing.
  expect(judge(text)).toMatchObject({ code: 18, said: { fault: "missing-content", position: 1 } })
  expect(judge(text, "--dropped-up-to", String(edge - 1))).toMatchObject({ code: 18, said: { position: edge } })
  // A hash in the place of a dropped event must be the one that was signed.
  const lines = text.split("\n")
  const first = JSON.parse(lines[0]!) as { hash: string }
  const other = lines[0]!.replace(first.hash, "0".repeat(64))
  expect(judge(lines.with(0, other).join("\n"), "--dropped-up-to", String(edge))).toMatchObject({
    code: 17,
    said: { fault: "rewritten" }
  })
})
