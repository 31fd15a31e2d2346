/**
 * What devices are asked to do. A command waits until its device can be reached, is offered to the transports again every half minute, and ends when
 * it runs out; each step forward is kept, none goes back but of a command that nobody was there to take.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { NotFound, Refused } from "../../kernel/cases/model.ts"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { isId, newId } from "../../kernel/ids.ts"
import { demand } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import type { CommandState } from "../../ports/DeviceIngest.ts"
import type { Codec } from "./decode/codec/model.ts"
import type { EdgeNodeState } from "./decode/sparkplug/step.ts"
import { getDevice } from "./devices.ts"

export interface CommandRequest {
  readonly method: string
  readonly params: unknown
  /** Seconds; default 300. */
  readonly expiresIn?: number
}

export interface StoredCommand {
  readonly id: string
  readonly deviceId: string
  readonly method: string
  readonly params: unknown
  readonly state: "queued" | "sent" | "delivered" | "answered" | "failed" | "expired"
  readonly answer: unknown
  readonly message: string | null
  readonly createdAt: Date
  readonly changedAt: Date
  readonly expiresAt: Date
}

const select = Effect.fnUntraced(function* (
  deviceId: string,
  id: string | undefined,
  before: string | undefined,
  limit: number
) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<StoredCommand>`
    select id, device_id as "deviceId", method, params, state, answer, message, created_at as "createdAt", changed_at as "changedAt",
      expires_at as "expiresAt"
    from mahalla.device_command where tenant_id = ${tenantId} and device_id = ${deviceId}
      and (${id ?? null}::uuid is null or id = ${id ?? null}) and (${before ?? null}::uuid is null or id < ${before ?? null})
    order by id desc limit ${limit}`
})

/** Asks a device to do something; needs `device.command` where the device is. */
export const sendCommand = Effect.fn("telemetry.sendCommand")(function* (deviceId: string, request: CommandRequest) {
  const { sql, tenantId } = yield* TenantTx
  const { id: actorId } = yield* Actor
  const device = yield* getDevice(deviceId)
  yield* demand("device.command", device)
  if (device.status !== "active")
    return yield* new Refused({ code: "device-not-active", message: `${device.name} is ${device.status}.` })
  const id = yield* newId
  const now = yield* Clock.currentTimeMillis
  const at = new Date(now)
  const expiresAt = new Date(now + (request.expiresIn ?? 300) * 1000)
  yield* sql`
    insert into mahalla.device_command (tenant_id, id, device_id, method, params, created_by, created_at, changed_at, expires_at)
    values (${tenantId}, ${id}, ${deviceId}, ${request.method}, ${JSON.stringify(request.params ?? null)}::text::jsonb, ${actorId}, ${at}, ${at},
      ${expiresAt})`
  return (yield* select(deviceId, id, undefined, 1))[0]!
})

/** Newest first. */
export const listCommands = Effect.fn("telemetry.listCommands")(function* (
  deviceId: string,
  page: { readonly cursor?: string | undefined; readonly limit?: number | undefined }
) {
  yield* demand("device.command", yield* getDevice(deviceId))
  const limit = page.limit ?? 50
  const rows = yield* select(deviceId, undefined, page.cursor, limit + 1)
  const items = rows.slice(0, limit)
  return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.id } : {}) }
})

export const getCommand = Effect.fn("telemetry.getCommand")(function* (deviceId: string, id: string) {
  yield* demand("device.command", yield* getDevice(deviceId))
  return (yield* select(deviceId, id, undefined, 1))[0] ?? (yield* new NotFound({ what: "command", id }))
})

/** A command that still waits for its device, and what is known of the way there. */
export interface WaitingCommand {
  readonly id: string
  readonly tenantId: string
  readonly tenant: string
  readonly device: string
  readonly deviceId: string
  readonly method: string
  readonly params: unknown
  readonly expiresAt: Date
  /** The gateway that it sends through. */
  readonly parentId: string | null
  readonly downlink: string | null
  readonly codec: Codec | null
  /** Of the edge node that it is or is behind. */
  readonly node: EdgeNodeState | null
}

/** Of all tenants. Index: device_command_open. */
export const waitingCommands = Effect.gen(function* () {
  const now = new Date(yield* Clock.currentTimeMillis)
  return yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<WaitingCommand>`
        select c.id, c.tenant_id as "tenantId", t.slug as tenant, d.name as device, d.id as "deviceId", c.method, c.params,
          c.expires_at as "expiresAt", d.parent_id as "parentId", d.downlink, p.definition -> 'codec' as codec, n.state as node
        from mahalla.device_command c
        join mahalla.device d on d.tenant_id = c.tenant_id and d.id = c.device_id and d.status = 'active'
        join mahalla.device_profile p on p.tenant_id = d.tenant_id and p.id = d.profile_id
        join mahalla.tenant t on t.tenant_id = c.tenant_id and t.suspended_at is null
        left join mahalla.edge_node n on n.tenant_id = d.tenant_id
          and n.device_id = case when d.downlink like 'spBv1.0/%/NCMD/%' then d.id else d.parent_id end
        where c.state = 'queued' and c.expires_at > ${now}
        -- A city with a thousand of them keeps back no other's.
        order by row_number() over (partition by c.tenant_id order by c.expires_at), c.expires_at limit 1000`
    )
  )
})

/** Ends those that have run out. */
export const expireCommands = Effect.gen(function* () {
  const now = new Date(yield* Clock.currentTimeMillis)
  yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql`
        update mahalla.device_command set state = 'expired', changed_at = ${now}
        where state in ('queued', 'sent', 'delivered') and expires_at <= ${now}`
    )
  )
})

/** Whose command it is. */
export const tenantOfCommand = (id: string) =>
  withPlatform(
    Effect.flatMap(PlatformTx, ({ sql }) =>
      Effect.map(
        sql<{ tenantId: string }>`select tenant_id as "tenantId" from mahalla.device_command where id = ${id}`,
        ([row]) => row?.tenantId
      )
    )
  )

const ranks = ["queued", "sent", "delivered", "answered", "failed", "expired"]

/** The states that such news may change. */
const before = ({ state }: CommandState) =>
  state === "queued" ? ["sent"] : ranks.slice(0, state === "failed" ? 3 : ranks.indexOf(state))

/** What was heard of a command. `from`: id of the device that says so; default, whoever handed it over. */
export interface CommandNews {
  readonly id: string
  readonly state: CommandState
  readonly from?: string
}

/**
 * What was heard of commands, in the transaction of those who heard it; ids of those to which it was news. What is older than what is known changes
 * nothing, nor what a device says of others than itself and those behind it.
 */
export const storeCommandNews = Effect.fnUntraced(function* (news: ReadonlyArray<CommandNews>) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  const changed: Array<string> = []
  for (const { from = null, id, state } of news) {
    // A network server's own ids are no UUIDs always.
    if (!isId(id)) continue
    const rows = yield* sql`
      update mahalla.device_command c set state = ${state.state}, changed_at = ${now},
        answer = ${state.state === "answered" ? JSON.stringify(state.answer ?? null) : null}::text::jsonb,
        message = ${state.state === "failed" ? state.message.slice(0, 1000) : null}
      where c.tenant_id = ${tenantId} and c.id = ${id}
        and c.state = any (${before(state)}::text[])
        and (${from}::uuid is null or exists (
          select from mahalla.device d where d.tenant_id = c.tenant_id and d.id = c.device_id and ${from}::uuid in (d.id, d.parent_id)))
      returning c.id`
    if (rows.length > 0) changed.push(id)
  }
  return changed
})

/** The same in a transaction of its own. */
export const noteCommands = (tenantId: string, news: ReadonlyArray<CommandNews>) =>
  withTenant(tenantId)(storeCommandNews(news)).pipe(Effect.withSpan("telemetry.noteCommands"))
