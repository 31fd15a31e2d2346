/**
 * A module that only watches: its consumer writes every event's position into a table of its own, in the consumer's transaction. What the
 * table holds afterwards, in the order in which it was written, is what a consumer has seen.
 */
import { createHash } from "node:crypto"
import { type Consumer, defineModule, type Migration, type Module, TenantTx } from "@mahalla/core/module"
import type { StoredEvent } from "@mahalla/core/module"
import { securityAlert, trafficReport, trafficViolation } from "@mahalla/core"
import * as Effect from "effect/Effect"

const sql = `
  create table mahalla.kill_witness (
    seen bigint generated always as identity,
    tenant_id uuid not null,
    position bigint not null,
    event_id uuid not null);
  select mahalla.protect('mahalla.kill_witness', 'select, insert');`

const migration: Migration = {
  module: "witness",
  id: 1,
  name: "witness",
  breaking: false,
  sql,
  checksum: createHash("sha256").update(sql).digest("hex")
}

/** Every type of event that this city can cause. */
export const witnessedTypes: ReadonlyArray<string> = [
  ...["tenant.created", "territory.added", "principal.staff-created", "principal.role-granted"],
  ...[
    "attachment.stored",
    "attachment.rejected",
    "attachment.original-opened",
    // By the engine: what it could not read in the evidence.
    "case.commented",
    "case.linked",
    "case.deadline-passed",
    "case.escalated"
  ],
  ...["identity.registered", "identity.signed-in", "identity.link-issued", "reports.offence-changed"],
  // A lost answer has used a code up, or taken the number of the new device with it.
  ...["identity.sign-in-refused", "identity.new-device"],
  ...["payouts.requested", "payouts.succeeded", "payouts.failed", "payouts.unknown", "payouts.budget-funded"],
  ...["payouts.held", "audit.checkpoint-refused"],
  ...[trafficReport, trafficViolation, securityAlert].flatMap(({ definition }) => [
    `${definition.id}.created`,
    ...Object.entries(definition.transitions).map(([name, { event }]) => `${definition.id}.${event ?? name}`)
  ])
]

// No unique key: a position that is written twice must stay visible.
const write = Effect.fnUntraced(function* (event: StoredEvent) {
  const { sql: query, tenantId } = yield* TenantTx
  yield* query`insert into mahalla.kill_witness (tenant_id, position, event_id) values (${tenantId}, ${event.position}, ${event.id})`
})

const consumer: Consumer<unknown, never> = {
  id: "witness",
  types: witnessedTypes,
  handle: (event) => Effect.asVoid(write(event)) as Effect.Effect<void, unknown, TenantTx>
}

export const witness = (): Module => defineModule({ id: "witness", consumers: [consumer], migrations: [migration] })
