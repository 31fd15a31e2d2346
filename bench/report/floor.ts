/**
 * The floor: a bare fastify handler on `pg` that sends the statements of our create, prepared, one after the other, in one transaction
 * under row-level security as the same role. It checks no signature, no rights and no body, and knows no territories:
 * `floor.ts <the app role's address> <tenant> <citizen> <territory>`.
 */
import { createHash, randomBytes, randomUUID } from "node:crypto"
import { once } from "node:events"
import pg from "pg"
import { importPeer } from "../peers.mjs"
import { connections } from "./city.ts"

interface Fastify {
  readonly post: (
    path: string,
    handle: (
      // oxlint-disable-next-line typescript/no-explicit-any -- the floor validates nothing, on purpose
      request: { readonly body: any; readonly headers: Readonly<Record<string, string>> },
      reply: { readonly code: (status: number) => unknown }
    ) => Promise<unknown>
  ) => void
  readonly listen: (options: { readonly port: number; readonly host: string }) => Promise<string>
  readonly close: () => Promise<void>
}

const [connectionString = "", tenantId = "", citizen = "", territory = ""] = process.argv.slice(2)
const { default: fastify } = (await importPeer("fastify")) as { readonly default: () => Fastify }
const app = fastify()
const pool = new pg.Pool({ connectionString, max: connections })

const uuidV7 = () => {
  const bytes = randomBytes(16)
  bytes.writeUIntBE(Date.now(), 0, 6)
  bytes[6] = 0x70 | (bytes[6]! & 0x0f)
  bytes[8] = 0x80 | (bytes[8]! & 0x3f)
  const hex = bytes.toString("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

const statements = {
  principal: "select found from mahalla.actors_of($1::text::jsonb)",
  tenant: "select set_config('mahalla.tenant', $1, true)",
  key: "select * from mahalla.take_idempotency_key($1, $2, $3)",
  case: `insert into mahalla.civic_case
    (tenant_id, id, type, type_version, reference, state, phase, data, territory_id, longitude, latitude, h3, owner_id, search, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9, $10, $11, $12, $13, to_tsvector('simple', $14), $15, $16)`,
  event: `with happened as (
      insert into mahalla.event (tenant_id, id, type, case_id, actor_id, payload, commitments, occurred_at, trace_id)
      values ($1, $2, $3, $4, $5, $6::text::jsonb, $7::text::jsonb, $8, $9)
      returning tenant_id, id)
    insert into mahalla.event_outbox (tenant_id, event_id) select tenant_id, id from happened`,
  job: `insert into mahalla.job (tenant_id, id, topic, body, unique_key, priority, run_at, max_attempts)
    select tenant_id, id, topic, coalesce(body, 'null'), unique_key, coalesce(priority, 0), coalesce(run_at, now()), coalesce(max_attempts, 12)
    from jsonb_to_recordset($1::text::jsonb) as given
      (tenant_id uuid, id uuid, topic text, body jsonb, unique_key text, priority smallint, run_at timestamptz, max_attempts smallint)
    on conflict (tenant_id, topic, unique_key) where unique_key is not null do nothing
    returning id`,
  answer: `insert into mahalla.idempotency_key (tenant_id, principal_id, route, key, body_hash, status, answer, created_at)
    values ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8)`
}

app.post("/reports", async ({ body, headers }, reply) => {
  const client = await pool.connect()
  const run = (name: keyof typeof statements, values: ReadonlyArray<unknown>) =>
    client.query({ name, text: statements[name], values: values as Array<unknown> })
  try {
    await run("principal", [JSON.stringify([{ tenant: tenantId, principal: citizen, known: null }])])
    await client.query({ name: "begin", text: "BEGIN" })
    await run("tenant", [tenantId])
    const key = headers["idempotency-key"]
    const hash = createHash("sha256").update(JSON.stringify(body)).digest("base64url")
    await run("key", [citizen, "cases/bench-report", key])
    const id = uuidV7()
    const now = new Date()
    const { data, place } = body
    const reference = randomUUID().slice(0, 9).toUpperCase()
    const text = `${reference} ${data.title} ${data.description}`
    await run("case", [
      ...[tenantId, id, "bench-report", 1, reference, "submitted", "open", JSON.stringify(data), territory],
      ...[place.longitude, place.latitude, "617700169958293503", citizen, text, now, now]
    ])
    const payload = {
      ...data,
      type: "bench-report",
      reference,
      state: "submitted",
      territoryId: territory,
      parentId: null
    }
    await run("event", [
      ...[
        tenantId,
        uuidV7(),
        "bench-report.created",
        id,
        citizen,
        JSON.stringify(payload),
        "{}",
        now,
        randomBytes(16).toString("hex")
      ]
    ])
    await run("job", [
      JSON.stringify([{ tenant_id: tenantId, id: uuidV7(), topic: "bench.created", body: { caseId: id } }])
    ])
    const answer = {
      ...{
        id,
        type: "bench-report",
        reference,
        state: "submitted",
        phase: "open",
        data,
        place,
        territoryId: territory
      },
      ...{ version: 1, createdAt: now, updatedAt: now, ownerId: citizen, assigneeId: null, possible: ["withdraw"] }
    }
    await run("answer", [tenantId, citizen, "cases/bench-report", key, hash, 201, JSON.stringify(answer), now])
    await client.query({ name: "commit", text: "COMMIT" })
    reply.code(201)
    return answer
  } catch (error) {
    await client.query("ROLLBACK")
    throw error
  } finally {
    client.release()
  }
})

const address = await app.listen({ port: 0, host: "127.0.0.1" })
console.log(JSON.stringify({ port: Number(new URL(address).port), facts: {} }))
await once(process.stdin.resume(), "end")
await app.close()
process.exit(0)
