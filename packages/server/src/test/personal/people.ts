/** People with something to lose, as an earlier version has left them: in clear, until the resealer has been there. */
import { createHash, randomBytes } from "node:crypto"
import type { City } from "@mahalla/core"
import { sealedColumn, TenantTx } from "@mahalla/core/module"
import { BlobStore } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

export type Ask = <Row extends object>(text: string, values?: ReadonlyArray<unknown>) => Promise<ReadonlyArray<Row>>

export interface Person {
  readonly id: string
  readonly phone: string
  /** SHA-256 of the file they have sent; null for most. */
  readonly file: string | null
}

export const slug = "samarkand"
/** Bytes of a file: its copy takes long enough to be hit. */
const fileSize = 8_000_000

/** So many people; each has an event with their phone in it, and a session. */
export const settle = async (ask: Ask, tenantId: string, amount: number): Promise<ReadonlyArray<Person>> => {
  await ask(
    `insert into mahalla.principal (tenant_id, id, kind, phone, name)
     select $1, gen_random_uuid(), 'person', '+99890' || lpad(n::text, 7, '0'), 'Person ' || n from generate_series(1, $2::int) n`,
    [tenantId, amount]
  )
  await ask(
    `with made as (
       insert into mahalla.event (tenant_id, id, type, actor_id, payload, commitments, occurred_at)
       -- Of now, by their ids: retention takes others for very old.
       select tenant_id, (lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
         || '8' || substr(md5(random()::text), 1, 15))::uuid, 'identity.registered', id, jsonb_build_object('principalId', id), jsonb_build_object('phone',
         translate(encode(sha256('salt'::bytea || '\\x00'::bytea || convert_to(to_jsonb(phone)::text, 'UTF8')), 'base64'), '+/=', '-_')), now()
       from mahalla.principal where tenant_id = $1 and kind = 'person' returning tenant_id, id, actor_id)
     insert into mahalla.event_personal (tenant_id, event_id, person_id, field, salt, value)
     select m.tenant_id, m.id, m.actor_id, 'phone', 'salt', to_jsonb(p.phone)
     from made m join mahalla.principal p on p.tenant_id = m.tenant_id and p.id = m.actor_id`,
    [tenantId]
  )
  await ask(
    `insert into mahalla.session (tenant_id, id, principal_id, signed_in_by, second_factor, proved_at, created_at, last_used_at, idle_until, expires_at)
     select tenant_id, gen_random_uuid(), id, 'code', 'none', now(), now(), now(), now() + interval '1 day', now() + interval '1 day'
     from mahalla.principal where tenant_id = $1 and kind = 'person'`,
    [tenantId]
  )
  await ask(
    `insert into mahalla.reseal (tenant_id, part)
     select $1, unnest(array['kernel.principal', 'kernel.event-personal', 'kernel.idempotency-key', 'identity.totp']) on conflict do nothing`,
    [tenantId]
  )
  const rows = await ask<{ id: string; phone: string }>(
    "select id, phone from mahalla.principal where tenant_id = $1 and kind = 'person' order by phone",
    [tenantId]
  )
  return rows.map((row) => ({ ...row, file: null }))
}

/** Gives somebody a film of their own. */
export const withFilm = async (city: City, ask: Ask, tenantId: string, person: Person): Promise<Person> => {
  const bytes = randomBytes(fileSize)
  const file = createHash("sha256").update(bytes).digest("hex")
  const key = `t/${tenantId}/a/${person.id}`
  await city.admin.run(
    slug,
    Effect.flatMap(BlobStore, (blobs) =>
      blobs.put(key, Stream.make(Uint8Array.from(bytes)), { contentType: "video/mp4" })
    )
  )
  await ask(
    `insert into mahalla.attachment (tenant_id, id, owner_id, role, kind, name, media_type, size, sha256, blob_key, state, received, created_at, stored_at)
     values ($1, gen_random_uuid(), $2, 'original', 'video', 'film.mp4', 'video/mp4', $3, $4, $5, 'stored', $3, now(), now())`,
    [tenantId, person.id, fileSize, file, key]
  )
  return { ...person, file }
}

const phones = sealedColumn("principal", "phone")
const values = sealedColumn("event_personal", "sealed")

/** What opens today, for whoever is there: the phone by the engine's own keys, and the phone in their event with its commitment. */
export const readable = (city: City) =>
  city.admin.run(
    slug,
    Effect.gen(function* () {
      const { sql, tenantId } = yield* TenantTx
      // One look at everybody, so that a commit in between makes no difference.
      const rows = yield* sql<{
        id: string
        status: string
        phone: string | null
        phone_sealed: string | null
        event_id: string | null
        clear: string | null
        sealed: string | null
        commitment: string | null
      }>`
        select p.id, p.status, p.phone, p.phone_sealed, v.event_id, v.sealed, e.commitments ->> 'phone' as commitment,
          case when v.salt is not null then jsonb_build_object('salt', v.salt, 'value', v.value)::text end as clear
        from mahalla.principal p
        left join mahalla.event_personal v on v.tenant_id = p.tenant_id and v.person_id = p.id
        left join mahalla.event e on e.tenant_id = v.tenant_id and e.id = v.event_id
        where p.tenant_id = ${tenantId} and p.kind = 'person'`
      return new Map(
        yield* Effect.forEach(rows, (row) =>
          Effect.gen(function* () {
            const { event_id, id, status } = row
            const phone = row.phone_sealed === null ? row.phone : yield* phones.open(id, row.phone_sealed)
            const text = row.sealed === null ? row.clear : yield* values.open(`${event_id} phone`, row.sealed)
            const kept = text === null ? null : (JSON.parse(text) as { salt: string; value: string })
            const hash = createHash("sha256")
              .update(`${kept?.salt}\u0000${JSON.stringify(kept?.value)}`)
              .digest("base64url")
            return [id, { status, phone, value: kept?.value ?? null, proved: hash === row.commitment }] as const
          })
        )
      )
    })
  )
