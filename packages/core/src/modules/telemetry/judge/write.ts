/** What judging writes: what was found at once, what is remembered with the place it has reached. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../../kernel/db/Database.ts"
import type { AlertEffect } from "../../control-room/index.ts"
import { numbers } from "../arrays.ts"
import type { Anomaly } from "../model.ts"
import type { RuleEffect } from "../rules/facts.ts"
import type { StoredOriginator } from "../rules/model.ts"
import type { KnownDevice } from "./load.ts"

export interface FoundAnomaly {
  readonly datastream: number
  readonly anomaly: Anomaly
}

/** Keeps anomalies; of a batch that is judged again nothing is kept twice. */
export const writeAnomalies = Effect.fnUntraced(function* (found: ReadonlyArray<FoundAnomaly>) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    insert into mahalla.anomaly (tenant_id, datastream, at, kind, value, low, high, score, explanation)
    select ${tenantId}, datastream, to_timestamp(at / 1000), kind, value, low, high, score, explanation
    from unnest(${numbers(found, ({ datastream }) => datastream)}::bigint[], ${numbers(found, ({ anomaly }) => anomaly.at)}::float8[],
      ${found.map(({ anomaly }) => anomaly.kind)}::text[], ${numbers(found, ({ anomaly }) => anomaly.value)}::float8[],
      ${numbers(found, ({ anomaly }) => anomaly.expected.low)}::float8[], ${numbers(found, ({ anomaly }) => anomaly.expected.high)}::float8[],
      ${numbers(found, ({ anomaly }) => Math.fround(anomaly.score))}::float8[], ${found.map(({ anomaly }) => anomaly.explanation)}::text[])
      as r (datastream, at, kind, value, low, high, score, explanation)
    on conflict do nothing`
})

/** What the control room takes: a summary of 500 characters, and so much of why that the details hold it however it is escaped. */
const short = (text: string, most = 500) =>
  // A cut may go through the middle of a character.
  text.length > most ? `${text.slice(0, most - 1).toWellFormed()}…` : text
const mostBecause = 2_000

/** A rule's word as the control room takes it, without where it is. */
export const alertEffect = (effect: RuleEffect, title: string, device: KnownDevice | undefined): AlertEffect => {
  const { at, because, episode, flapping, originator, rule, severity, version } = effect
  const base = { key: { rule, originator }, episode, at }
  const text = short(because.text)
  if (effect.do === "clear")
    return { kind: "clear", ...base, ...(because.reason === "condition" ? {} : { reason: text }) }
  const details = { because: short(because.text, mostBecause), reason: because.reason, title: short(title) }
  if (effect.do === "update") return { kind: "update", ...base, severity, flapping, summary: text, details }
  return {
    kind: "raise",
    ...base,
    severity,
    flapping,
    summary: short(`${title}: ${because.text}`),
    details,
    ruleVersion: version,
    originator: originator.startsWith("set:")
      ? { kind: "set", name: originator.slice(4) }
      : { kind: "device", name: device === undefined ? originator : device.title || device.name },
    assetId: device?.assetId
  }
}

/** Originators of one statement: one of many megabytes would hold up what comes behind it. */
const piece = 100

/** States of devices and originators, in pieces between which others go on; those without one are forgotten. */
export const writeStates = Effect.fnUntraced(function* (
  devices: () => ReadonlyArray<readonly [id: string, packed: Buffer]>,
  originators: ReadonlyArray<readonly [id: string, state: () => StoredOriginator | undefined]>
) {
  const { sql, tenantId } = yield* TenantTx
  for (let part = devices(); part.length > 0; part = devices())
    yield* sql`
      insert into mahalla.device_state as s (tenant_id, device_id, state)
      select ${tenantId}, id, state from unnest(${part.map(([id]) => id)}::uuid[], ${part.map(([, packed]) => packed)}::bytea[]) as r (id, state)
      where exists (select from mahalla.device d where d.tenant_id = ${tenantId} and d.id = r.id)
      on conflict (tenant_id, device_id) do update set state = excluded.state`
  for (let from = 0; from < originators.length; from += piece) {
    const part = originators.slice(from, from + piece).map(([id, state]) => ({ id, state: state() }))
    const kept = part.filter(({ state }) => state !== undefined)
    const gone = part.flatMap(({ id, state }) => (state === undefined ? [id] : []))
    if (kept.length > 0)
      yield* sql`
        insert into mahalla.rule_state as s (tenant_id, originator, state)
        select ${tenantId}, id, state from jsonb_to_recordset(${JSON.stringify(kept)}::text::jsonb) as r (id text, state jsonb)
        on conflict (tenant_id, originator) do update set state = excluded.state`
    if (gone.length > 0)
      yield* sql`delete from mahalla.rule_state where tenant_id = ${tenantId} and originator = any (${gone}::text[])`
  }
})
