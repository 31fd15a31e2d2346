/**
 * Who may bring new devices: a certificate authority whose certificates name them, or a key that a manufacturer puts into all of its devices. A device
 * comes once: whoever has the fleet's key gets no second credential for a device that has had one, so a stolen one stays out.
 */
import { randomBytes } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { InvalidInput, NotFound, Refused } from "../../kernel/cases/model.ts"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { defineEvent } from "../../kernel/events/Event.ts"
import { newId } from "../../kernel/ids.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { addCredential, parseCertificate, sha256, subjectOf } from "./credentials.ts"
import { createDevices } from "./devices.ts"
import { registryChanged } from "./registry.ts"

/** A way for new devices was opened or closed. */
export const DeviceProvisioningChanged = defineEvent({
  id: "device-provisioning.changed",
  payload: Schema.Struct({
    provisioningId: Schema.String,
    kind: Schema.Literals(["x509", "key"]),
    what: Schema.Literals(["created", "revoked"])
  })
})

export interface ProvisioningRequest {
  readonly profileId: string
  /** Whether names must have been registered before: an allow-list. */
  readonly registeredOnly?: boolean
  /** Names of the devices that may come this way: as they are, or with one `*` for any characters. Default: all. */
  readonly names?: string
  /** How many new devices it brings at most; devices that came before are let in all the same. Default: as many as come. */
  readonly most?: number
  readonly label?: string
  readonly validUntil?: Date
  /** PEM, or DER as base64; without it a key is drawn. */
  readonly certificate?: string
}

export interface StoredProvisioning {
  readonly id: string
  readonly kind: "x509" | "key"
  readonly profileId: string
  readonly registeredOnly: boolean
  readonly names: string | null
  readonly most: number | null
  readonly brought: number
  readonly label: string
  readonly validUntil: Date | null
}

/** Whether a device of this name may come by a way for `names`. */
export const isFor = (names: string | null, name: string): boolean => {
  if (names === null) return true
  const [head = "", tail] = names.split("*")
  return tail === undefined
    ? name === head
    : name.length >= head.length + tail.length && name.startsWith(head) && name.endsWith(tail)
}

/** Counts one more device; false where it has brought all that it may. The row stays locked until the transaction's end. */
export const countBrought = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql`
    update mahalla.device_provisioning set brought = brought + 1
    where tenant_id = ${tenantId} and id = ${id} and (most is null or brought < most) returning id`
  return rows.length > 0
})

/** An authority as it is kept; none without the right to sign, none that is over. */
const authorityOf = Effect.fnUntraced(function* (text: string, now: number) {
  const certificate = yield* parseCertificate(text, "/certificate")
  const ends = Date.parse(certificate.validTo)
  const detail = !certificate.ca
    ? "This certificate is none of an authority: its basic constraints do not say CA:TRUE."
    : ends < now
      ? `This certificate ended on ${certificate.validTo}.`
      : undefined
  if (detail !== undefined) return yield* new InvalidInput({ issues: [{ pointer: "/certificate", detail }] })
  return { lookup: sha256(certificate.raw), der: certificate.raw, label: subjectOf(certificate), ends }
})

/** By both parts, or by one word that is both. */
const lookupOf = (key: string, secret: string | undefined) => sha256(secret === undefined ? key : `${key}.${secret}`)

/** Opens a way for new devices; a key is in the answer, and never again. Needs `device-provisioning.manage`. */
export const createProvisioning = Effect.fn("telemetry.createProvisioning")(function* (request: ProvisioningRequest) {
  yield* demandEverywhere("device-provisioning.manage")
  const { sql, tenantId } = yield* TenantTx
  const { certificate, most = null, names = null, profileId, registeredOnly = false } = request
  const profiles = yield* sql`
    select from mahalla.device_profile where tenant_id = ${tenantId} and id = ${profileId} for key share`
  if (profiles.length === 0)
    return yield* new InvalidInput({ issues: [{ pointer: "/profileId", detail: "There is no such device profile." }] })
  const now = yield* Clock.currentTimeMillis
  const authority = certificate === undefined ? undefined : yield* authorityOf(certificate, now)
  const shown =
    authority === undefined
      ? {
          provisionDeviceKey: randomBytes(15).toString("base64url"),
          provisionDeviceSecret: randomBytes(24).toString("base64url")
        }
      : {}
  const lookup = authority?.lookup ?? lookupOf(shown.provisionDeviceKey!, shown.provisionDeviceSecret)
  const label = request.label ?? authority?.label ?? `${shown.provisionDeviceKey!.slice(0, 4)}…`
  const until = Math.min(request.validUntil?.getTime() ?? Infinity, authority?.ends ?? Infinity)
  const validUntil = until === Infinity ? null : new Date(until)
  const kind = authority === undefined ? ("key" as const) : ("x509" as const)
  const id = yield* newId
  const rows = yield* sql`
    insert into mahalla.device_provisioning (tenant_id, id, profile_id, kind, lookup, certificate, registered_only, names, most, label,
      valid_until)
    values (${tenantId}, ${id}, ${profileId}, ${kind}, ${lookup}, ${authority?.der ?? null}, ${registeredOnly}, ${names}, ${most}, ${label},
      ${validUntil})
    on conflict (tenant_id, kind, lookup) do nothing returning id`
  if (rows.length === 0)
    return yield* new InvalidInput({
      issues: [{ pointer: "/certificate", detail: "This authority brings devices already; revoke that first." }]
    })
  yield* appendEvent(
    DeviceProvisioningChanged,
    { provisioningId: id, kind, what: "created" },
    { actorId: (yield* Actor).id }
  )
  return { id, kind, profileId, registeredOnly, names, most, brought: 0, label, validUntil, ...shown }
})

/** All of them, the oldest first; needs `device-provisioning.read`. */
export const listProvisionings = Effect.gen(function* () {
  yield* demandEverywhere("device-provisioning.read")
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<StoredProvisioning>`
    select id, kind, profile_id as "profileId", registered_only as "registeredOnly", names, most, brought, label, valid_until as "validUntil"
    from mahalla.device_provisioning where tenant_id = ${tenantId} order by id limit 1000`
}).pipe(Effect.withSpan("telemetry.listProvisionings"))

/**
 * Closes a way at once: a key brings nothing more, and devices of an authority are let in only with credentials of their own. Needs
 * `device-provisioning.manage`.
 */
export const revokeProvisioning = Effect.fn("telemetry.revokeProvisioning")(function* (id: string) {
  yield* demandEverywhere("device-provisioning.manage")
  const { sql, tenantId } = yield* TenantTx
  const [gone] = yield* sql<{ kind: "x509" | "key" }>`
    delete from mahalla.device_provisioning where tenant_id = ${tenantId} and id = ${id} returning kind`
  if (gone === undefined) return yield* new NotFound({ what: "device provisioning", id })
  yield* appendEvent(
    DeviceProvisioningChanged,
    { provisioningId: id, kind: gone.kind, what: "revoked" },
    { actorId: (yield* Actor).id }
  )
})

export interface ProvisionRequest {
  readonly key: string
  readonly secret?: string | undefined
  /** What it is to be called. */
  readonly name: string
}

const refuse = (code: string, message: string) => Effect.fail(new Refused({ code, message }))

/** The device of this name, which may have a first credential; made where names need not be registered before. */
const admitted = Effect.fnUntraced(function* (
  { profileId, registeredOnly }: { readonly profileId: string; readonly registeredOnly: boolean },
  name: string
) {
  const { sql, tenantId } = yield* TenantTx
  const [known] = yield* sql<{ id: string; profileId: string; status: string; used: boolean }>`
    select d.id, d.profile_id as "profileId", d.status, exists (
      select from mahalla.device_credential c where c.tenant_id = d.tenant_id and c.device_id = d.id) as used
    from mahalla.device d where d.tenant_id = ${tenantId} and d.name = ${name}`
  if (known === undefined) {
    if (registeredOnly)
      return yield* refuse(
        "not-registered",
        `There is no device ${name} registered. Ask the operator to register it first.`
      )
    const [made] = yield* createDevices([{ name, profileId }], () => "")
    return made!.id
  }
  if (known.profileId !== profileId || known.status !== "active")
    return yield* refuse("not-allowed", `This key does not bring the device ${name}.`)
  if (known.used)
    return yield* refuse(
      "already-provisioned",
      `The device ${name} has come already. Ask the operator for another credential.`
    )
  return known.id
})

/**
 * Gives a device its first token by the fleet's key; undefined where the key brings nothing (any more), or nothing to this city. Fails with `Refused` where
 * the device may not come, or has come already.
 */
export const provision = Effect.fn("telemetry.provision")(function* (
  { key, name, secret }: ProvisionRequest,
  tenant: string | undefined
) {
  const now = new Date(yield* Clock.currentTimeMillis)
  // Index: device_provisioning_lookup.
  const [way] = yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<{ tenantId: string; id: string }>`
        select p.tenant_id as "tenantId", p.id from mahalla.device_provisioning p
        join mahalla.tenant t on t.tenant_id = p.tenant_id and t.suspended_at is null
        where p.kind = 'key' and p.lookup = ${lookupOf(key, secret)} and (p.valid_until is null or p.valid_until > ${now})`
    )
  )
  if (way === undefined || (tenant !== undefined && way.tenantId !== tenant)) return undefined
  const enter = Effect.gen(function* () {
    const { sql, tenantId } = yield* TenantTx
    // First: of two that call themselves the same the second sees what the first was given.
    yield* registryChanged
    const [open] = yield* sql<{ profileId: string; registeredOnly: boolean; names: string | null }>`
      select profile_id as "profileId", registered_only as "registeredOnly", names from mahalla.device_provisioning
      where tenant_id = ${tenantId} and id = ${way.id}`
    if (open === undefined) return undefined
    if (!isFor(open.names, name)) return yield* refuse("not-allowed", `This key does not bring the device ${name}.`)
    const device = yield* admitted(open, name)
    if (!(yield* countBrought(way.id)))
      return yield* refuse("used-up", "This key has brought as many devices as it may. Ask the operator for another.")
    const { token } = yield* addCredential(device, { credential: { kind: "token" } })
    return token!
  })
  return yield* withTenant(way.tenantId)(enter).pipe(Effect.provideService(Actor, system(way.tenantId)))
})
