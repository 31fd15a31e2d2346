/** What must be true when everything is quiet again. Each check gives what it found wrong, in words; nothing is good. */
import { createHash } from "node:crypto"
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Town } from "./client.ts"
import type { Feed } from "./feed.ts"
import type { Records, Staff } from "./load.ts"
import { type Asked, pause } from "./processes.ts"
import { witnessedTypes } from "./witness.ts"

const verifier = join(import.meta.dirname, "../../../../cli/src/audit/main.ts")

/** What still moves; empty when the city has nothing to do. */
export const unrest = async (database: Asked, records: Records): Promise<ReadonlyArray<string>> => {
  const rows = await database.query<{ what: string; amount: number }>(
    `select 'jobs' as what, count(*)::int as amount from mahalla.job where state = 'ready'
     union all select 'events without a place', count(*)::int from mahalla.event_outbox
     union all select 'payouts under way', count(*)::int from mahalla.payout where state not in ('succeeded', 'failed', 'manual')
     union all select 'reports not decided', count(*)::int from mahalla.civic_case where type = 'traffic-report' and state <> 'decided'
     union all select 'violations not rewarded', count(*)::int from mahalla.civic_case where type = 'traffic-violation' and state <> 'rewarded'
     union all select 'consumers behind', count(*)::int from mahalla.event_head h join mahalla.event_cursor c using (tenant_id)
       where c.position < h.position
     union all select 'events not sealed', coalesce(sum(h.position - (select count(*) from mahalla.log_node n
       where n.tenant_id = h.tenant_id and n.level = 0)), 0)::int from mahalla.event_head h`
  )
  const missing = await database.query<{ amount: number }>(
    "select $1::int - count(*)::int as amount from mahalla.civic_case where id = any ($2::uuid[])",
    [records.reports.length, records.reports.map(({ id }) => id)]
  )
  return [...rows, { what: "acknowledged reports missing", amount: missing[0]?.amount ?? 0 }]
    .filter(({ amount }) => amount !== 0)
    .map(({ amount, what }) => `${amount} ${what}`)
}

/** Waits until nothing moves. Long pauses between tries are not what is tested: they are cut short. */
export const quiet = async (database: Asked, records: Records, milliseconds: number): Promise<void> => {
  const end = performance.now() + milliseconds
  for (;;) {
    const left = await unrest(database, records)
    if (left.length === 0) return
    const dead = await database.query<{ topic: string; last_error: string }>(
      "select topic, last_error from mahalla.job where state = 'dead'"
    )
    if (dead.length > 0) throw new Error(`Dead letters: ${JSON.stringify(dead)}`)
    if (performance.now() > end) throw new Error(`Not quiet after ${milliseconds / 1000} s: ${left.join(", ")}`)
    await database.query(
      "update mahalla.job set run_at = now() where lease_until is null and run_at > now() + interval '1 second'"
    )
    await database.query(
      "update mahalla.event_cursor set retry_at = now() where retry_at > now() + interval '1 second'"
    )
    await pause(500)
  }
}

/** What is really there. A blob that is gone breaks the answer off, so it is not asked for without end. */
const sha256Over = async (town: Town, staff: Staff, id: string): Promise<string> => {
  for (let tries = 0; ; tries++) {
    const reply = await town
      .send("read", "GET", `/v1/attachments/${id}/content`, { authorization: `Bearer ${staff.admin}` })
      .catch(() => undefined)
    if (reply?.status === 200)
      return createHash("sha256")
        .update(reply.body as Uint8Array)
        .digest("hex")
    if (tries === 10) return `an answer ${reply?.status ?? "that broke off"}`
    await pause(200)
  }
}

/** Each acknowledged upload: the very bytes over HTTP. */
export const checkUploads = async (town: Town, staff: Staff, records: Records): Promise<ReadonlyArray<string>> => {
  const wrong: Array<string> = []
  for (const { id, sha256, size } of records.uploads) {
    const found = await sha256Over(town, staff, id)
    if (found !== sha256) wrong.push(`upload ${id}: ${size} bytes ${sha256} were acknowledged, ${found} is there`)
  }
  return wrong
}

/** Each copy has its bytes, and each original that could be read has one poster. */
export const checkCopies = async (town: Town, staff: Staff, database: Asked): Promise<ReadonlyArray<string>> => {
  const wrong: Array<string> = []
  const copies = await database.query<{ id: string; kind: string; sha256: string }>(
    "select id::text, kind, sha256 from mahalla.attachment where role = 'derived' and state = 'stored'"
  )
  for (const { id, kind, sha256 } of copies) {
    const found = await sha256Over(town, staff, id)
    if (found !== sha256) wrong.push(`${kind} ${id} should be ${sha256}, ${found} is there`)
  }
  const posters = await database.query<{ id: string; posters: number }>(
    `select o.id::text, count(p.id)::int as posters from mahalla.attachment o
     join mahalla.civic_case c on c.tenant_id = o.tenant_id and c.id = o.case_id and c.data ->> 'mediaProblem' is null
     left join mahalla.attachment p on p.tenant_id = o.tenant_id and p.derived_from = o.id and p.kind = 'poster' and p.state = 'stored'
     where o.role = 'original' group by o.id having count(p.id) <> 1`
  )
  return [...wrong, ...posters.map(({ id, posters: amount }) => `original ${id} has ${amount} posters`)]
}

/** Each key has made one report, the one that was acknowledged, with its own upload. */
export const checkReports = async (database: Asked, records: Records): Promise<ReadonlyArray<string>> => {
  const rows = await database.query<{ key: string; ids: ReadonlyArray<string>; uploads: ReadonlyArray<string> }>(
    `select c.data ->> 'description' as key, array_agg(distinct c.id::text) as ids,
            array_agg(distinct a.id::text) filter (where a.role = 'original') as uploads
     from mahalla.civic_case c left join mahalla.attachment a on a.tenant_id = c.tenant_id and a.case_id = c.id
     where c.type = 'traffic-report' group by 1`
  )
  const byKey = new Map(rows.map((row) => [row.key, row]))
  const acknowledged = records.reports.flatMap(({ id, key, upload }) => {
    const row = byKey.get(key)
    const good = row?.ids.length === 1 && row.ids[0] === id && row.uploads?.length === 1 && row.uploads[0] === upload
    return good ? [] : [`key ${key}: acknowledged ${id} with ${upload}, found ${JSON.stringify(row)}`]
  })
  const twice = rows.filter(({ ids }) => ids.length > 1).map(({ key, ids }) => `key ${key} made ${ids.join(" and ")}`)
  return [...acknowledged, ...twice]
}

/** The simulator's own count of what it has paid, from its other side. */
export const effectsOf = async (home: string): Promise<Record<string, { effects: number; asked: number }>> =>
  (await (await fetch(`${simulatorOf(home)}/sandbox/effects`)).json()) as never

const simulatorOf = (home: string): string => {
  const folder = join(home, "plugins", "mahalla-sandbox-payments")
  const { port } = JSON.parse(readFileSync(join(folder, "payments.ndjson.state.json"), "utf8")) as { port: number }
  return `http://127.0.0.1:${port}`
}

/** A payment past the engine, which the check must see. */
export const payByHand = async (home: string): Promise<void> => {
  await fetch(`${simulatorOf(home)}/sandbox/faults`, { method: "PUT", body: JSON.stringify({ rates: {} }) })
  const { status } = await fetch(`${simulatorOf(home)}/v1/payments/by-hand`, {
    method: "PUT",
    body: JSON.stringify({
      payee: { kind: "phone", value: "+998901234567" },
      money: { amount: "100", currency: "UZS" },
      memo: "By hand"
    })
  })
  if (status !== 200) throw new Error(`The simulator answered ${status}`)
}

/** Accepted means paid, once, and nothing else was paid. */
export const checkRewards = async (database: Asked, home: string, records: Records): Promise<ReadonlyArray<string>> => {
  const effects = await effectsOf(home)
  const rows = await database.query<{
    violation: string
    state: string
    payouts: ReadonlyArray<string>
    posted: number
  }>(
    `select c.id::text as violation, c.state, coalesce(array_agg(p.id::text) filter (where p.id is not null), '{}') as payouts,
            (select count(*)::int from mahalla.ledger_transfer t
             where t.tenant_id = c.tenant_id and t.kind = 'post' and t.pending_id = any (array_agg(p.pending_id))) as posted
     from mahalla.civic_case c left join mahalla.payout p on p.tenant_id = c.tenant_id and p.case_id = c.id
     where c.type = 'traffic-violation' group by c.tenant_id, c.id, c.state`
  )
  const found = new Map(rows.map((row) => [row.violation, row]))
  const known = new Set(rows.flatMap(({ payouts }) => payouts))
  return [
    ...[...records.accepted].filter((id) => !found.has(id)).map((id) => `accepted violation ${id} is not there`),
    ...rows.flatMap(({ payouts, posted, state, violation }) =>
      state === "rewarded" && payouts.length === 1 && posted === 1 && effects[payouts[0] ?? ""]?.effects === 1
        ? []
        : [
            `violation ${violation} is ${state} with payouts ${payouts.join(", ")}, posted ${posted} times, paid ${payouts
              .map((id) => effects[id]?.effects ?? 0)
              .join(", ")} times`
          ]
    ),
    ...Object.entries(effects).flatMap(([id, { effects: times }]) => [
      ...(times > 1 ? [`payout ${id} was paid ${times} times`] : []),
      ...(times > 0 && !known.has(id) ? [`payment ${id} belongs to no payout`] : [])
    ])
  ]
}

/** The order has no gap, nothing is outside it, and every consumer has come to its end. */
export const checkOrder = async (database: Asked): Promise<ReadonlyArray<string>> => {
  const wrong = await database.query<{ what: string }>(
    `select 'positions of tenant ' || tenant_id || ': ' || count(*) || ' rows, ' || min(position) || ' to ' || max(position) as what
       from mahalla.event_order group by tenant_id having min(position) <> 1 or max(position) <> count(*) or count(distinct position) <> count(*)
     union all select 'head ' || h.position || ' of an order up to ' || max(o.position)
       from mahalla.event_head h join mahalla.event_order o using (tenant_id) group by h.tenant_id, h.position having h.position <> max(o.position)
     union all select 'event ' || e.id || ' has ' || count(o.position) || ' places'
       from mahalla.event e left join mahalla.event_order o on o.tenant_id = e.tenant_id and o.event_id = e.id
       group by e.tenant_id, e.id having count(o.position) <> 1
     union all select 'consumer ' || c.consumer || ' stands at ' || c.position || ' of ' || h.position
       from mahalla.event_cursor c join mahalla.event_head h using (tenant_id) where c.position <> h.position
     union all select count(*) || ' consumers' from mahalla.event_cursor having count(*) <> 6`
  )
  return wrong.map(({ what }) => what)
}

/**
 * Every event has its hash, every complete subtree is there once, and the separate verifier finds the export to be what all checkpoints
 * in the file say, whoever was killed while they were written.
 */
export const checkLog = async (
  town: Town,
  staff: Staff,
  database: Asked,
  home: string
): Promise<ReadonlyArray<string>> => {
  const wrong = await database.query<{ what: string }>(
    `select 'level ' || n.level || ' of the log has ' || count(*) || ' nodes for ' || h.position || ' events' as what
     from mahalla.log_node n join mahalla.event_head h using (tenant_id) group by h.tenant_id, h.position, n.level
     having count(*) <> floor(h.position / 2::numeric ^ n.level)`
  )
  const { body } = await town.until(
    [200],
    [],
    ["read", "GET", "/v1/audit/export", { authorization: `Bearer ${staff.admin}` }]
  )
  const [log, key] = [join(home, "audit.ndjson"), join(home, "jwks.json")]
  writeFileSync(log, body as Uint8Array)
  const keys = await town.until([200], [], ["read", "GET", "/.well-known/jwks.json", {}])
  writeFileSync(key, JSON.stringify(keys.body))
  const folder = join(home, "checkpoints")
  const files = readdirSync(folder).map((name) => join(folder, name))
  const verdicts = files.map((file) => {
    const { status, stdout } = spawnSync(process.execPath, [verifier, log, "--checkpoint", file, "--key", key], {
      encoding: "utf8"
    })
    return status === 0 ? [] : [`the verifier of ${file}: ${stdout}`]
  })
  return [
    ...wrong.map(({ what }) => what),
    ...(files.length === 1 ? [] : [`${files.length} files of checkpoints`]),
    ...verdicts.flat()
  ]
}

/** The witness has written every event of the order once, in order. */
export const checkWitness = async (database: Asked): Promise<ReadonlyArray<string>> => {
  const seen = await database.query<{ position: string; event: string }>(
    "select position::text, event_id::text as event from mahalla.kill_witness order by seen"
  )
  const order = await database.query<{ position: string; event: string; type: string }>(
    `select o.position::text, o.event_id::text as event, e.type from mahalla.event_order o
     join mahalla.event e on e.tenant_id = o.tenant_id and e.id = o.event_id order by o.position`
  )
  const strangers = [...new Set(order.map(({ type }) => type))].filter((type) => !witnessedTypes.includes(type))
  const wrong = strangers.map((type) => `the witness does not listen to ${type}`)
  for (let at = 0; at < Math.max(seen.length, order.length); at++) {
    if (seen[at]?.position === order[at]?.position && seen[at]?.event === order[at]?.event) continue
    wrong.push(
      `the witness' entry ${at + 1} is position ${seen[at]?.position}, the order has ${order[at]?.position} (${seen.length} of ${order.length})`
    )
    break
  }
  return wrong
}

/** The live feed has shown all of the order, each position once. */
export const checkFeed = async (town: Town, staff: Staff, feed: Feed): Promise<ReadonlyArray<string>> => {
  const wrong = [...feed.wrong]
  let after = 0
  for (;;) {
    const { body } = await town.until(
      [200],
      [],
      ["read", "GET", `/v1/event-log?after=${after}&limit=200`, { authorization: `Bearer ${staff.admin}` }]
    )
    const { items } = body as { items: ReadonlyArray<{ position: string; type: string }> }
    if (items.length === 0) break
    for (const { position, type } of items) {
      after++
      if (Number(position) !== after) return [...wrong, `the event log has ${position} where ${after} should be`]
      if (feed.types.get(after) !== type)
        wrong.push(`the feed showed ${feed.types.get(after)} at ${after}, the log has ${type}`)
    }
  }
  if (feed.last !== after) wrong.push(`the feed came to ${feed.last}, the order to ${after}`)
  return wrong
}

/** Who must hear of an event has one message for it, sent once. */
export const checkMessages = async (database: Asked, home: string): Promise<ReadonlyArray<string>> => {
  const rows = await database.query<{ event: string; type: string; messages: number; unsent: number }>(
    `select e.id::text as event, e.type, count(m.id)::int as messages, (count(m.id) filter (where m.state <> 'accepted'))::int as unsent
     from mahalla.event e join mahalla.civic_case c on c.tenant_id = e.tenant_id and c.id = e.case_id
     left join mahalla.message m on m.tenant_id = e.tenant_id and m.event_id = e.id
     where e.type like c.type || '.%' and c.type <> 'security-alert' -- nobody in this city is told of those
       and (e.type = c.type || '.created' or (e.payload ->> 'to') is not null and e.payload ->> 'to' <> e.payload ->> 'from')
     group by e.id, e.type having count(m.id) <> 1 or (count(m.id) filter (where m.state <> 'accepted')) > 0`
  )
  const twice = await database.query<{ event: string }>(
    `select event_id::text || ' ' || channel as event from mahalla.message group by tenant_id, event_id, principal_id, channel having count(*) > 1`
  )
  const folder = join(home, "plugins", "mahalla-outbox-messenger")
  const sent = new Map<string, number>()
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".ndjson")))
    for (const text of readFileSync(join(folder, file), "utf8").split("\n")) {
      const id = /"id":"([^"]+)"/.exec(text)?.[1]
      if (id !== undefined) sent.set(id, (sent.get(id) ?? 0) + 1)
    }
  return [
    ...rows.map(({ event, messages, type, unsent }) => `${type} ${event}: ${messages} messages, ${unsent} not sent`),
    ...twice.map(({ event }) => `several messages for ${event}`),
    ...[...sent].filter(([, times]) => times > 1).map(([id, times]) => `message ${id} was sent ${times} times`)
  ]
}
