/** Who a device is, by what it shows. One question to the database whatever it shows, and one answer for everything that is wrong. */
import { randomUUID, X509Certificate } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { PlatformTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { type DeviceCredential, DeviceIngestError, type DeviceSession } from "../../ports/DeviceIngest.ts"
import { sha256 } from "./credentials.ts"
import { createDevices } from "./devices.ts"
import { countBrought, isFor } from "./provisioning.ts"

/** What a session was opened with: while it holds, the session does. */
export type Grounds =
  | { readonly credential: string; readonly provisioning?: undefined }
  | { readonly provisioning: string; readonly credential?: undefined }

interface Found {
  readonly tenantId: string
  readonly tenant: string
  readonly deviceId: string
  readonly device: string
  readonly gateway: boolean
}

interface Held extends Found {
  readonly credentialId: string
}

const refused = new DeviceIngestError({
  reason: "Unauthorized",
  operation: "authenticate",
  subject: "device",
  message: "These credentials are not known here, or not valid any more. Ask the operator for new ones.",
  retryable: false
})

const unavailable = (cause: unknown) =>
  new DeviceIngestError({
    reason: "Unavailable",
    operation: "authenticate",
    subject: "device",
    message: "The database does not answer at the moment. Connect again in a little while.",
    retryable: true,
    cause
  })

const lookupOf = (credential: DeviceCredential): Buffer => {
  if (credential.kind === "token") return sha256(credential.token)
  if (credential.kind === "basic") return sha256(credential.user)
  return sha256(credential.chain[0] ?? new Uint8Array())
}

/** Of the password. */
const secretOf = (credential: DeviceCredential) => (credential.kind === "basic" ? sha256(credential.password) : null)

// Index: device_credential_lookup. A city that is closed hears no devices. Many cities may have a user of one name: the password tells them apart.
const find = (credential: DeviceCredential, now: Date) =>
  withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<Held>`
        select c.id as "credentialId", c.tenant_id as "tenantId", t.slug as tenant, d.id as "deviceId", d.name as device, d.gateway
        from mahalla.device_credential c
        join mahalla.device d on d.tenant_id = c.tenant_id and d.id = c.device_id and d.status = 'active'
        join mahalla.tenant t on t.tenant_id = c.tenant_id and t.suspended_at is null
        where c.kind = ${credential.kind} and c.lookup = ${lookupOf(credential)} and c.revoked_at is null and c.valid_from <= ${now}
          and (c.valid_until is null or c.valid_until > ${now}) and c.secret is not distinct from ${secretOf(credential)}::bytea
        order by c.id limit 2`
    )
  )

const parse = (der: Uint8Array): X509Certificate | undefined => {
  try {
    return new X509Certificate(der)
  } catch {
    return undefined
  }
}

const commonName = (certificate: X509Certificate): string | undefined =>
  /^CN=([A-Za-z0-9][A-Za-z0-9_.:-]{0,99})$/m.exec(certificate.subject)?.[1]

interface Signer {
  readonly id: string
  readonly tenantId: string
  readonly tenant: string
  readonly profileId: string
  readonly certificate: Uint8Array
  readonly registeredOnly: boolean
  readonly names: string | null
}

/**
 * Which authority has signed a certificate, and for whom. Of two cities that name one authority for one name the first has its devices:
 * certificates of authorities are no secret. `than`: only authorities of other cities that were named before this credential.
 */
const signerOf = Effect.fnUntraced(function* (own: X509Certificate, name: string, now: number, than?: Held) {
  const authorities = yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<Signer>`
        select p.id, p.tenant_id as "tenantId", t.slug as tenant, p.profile_id as "profileId", p.certificate, p.registered_only as "registeredOnly",
          p.names
        from mahalla.device_provisioning p join mahalla.tenant t on t.tenant_id = p.tenant_id and t.suspended_at is null
        where p.kind = 'x509' and (p.valid_until is null or p.valid_until > ${new Date(now)})
          and (${than?.credentialId ?? null}::uuid is null or (p.id < ${than?.credentialId ?? null} and p.tenant_id <> ${than?.tenantId ?? null}))
        order by p.id limit 1000`
    )
  )
  return authorities.find(({ certificate, names }) => {
    if (!isFor(names, name)) return false
    const authority = parse(certificate)
    return authority !== undefined && own.checkIssued(authority) && own.verify(authority.publicKey)
  })
})

/**
 * A device whose certificate an authority of the city has signed: known by its common name, made where new ones may come. Not by a certificate that
 * the city knows as a credential: there that one says who may come, and whether it was revoked.
 */
const byChain = Effect.fnUntraced(function* (chain: ReadonlyArray<Uint8Array>, now: number, than?: Held) {
  const own = parse(chain[0] ?? new Uint8Array())
  const name = own === undefined ? undefined : commonName(own)
  if (own === undefined || name === undefined) return undefined
  if (Date.parse(own.validFrom) > now || Date.parse(own.validTo) < now) return undefined
  const signer = yield* signerOf(own, name, now, than)
  if (signer === undefined) return undefined
  const { id, profileId, registeredOnly, tenantId } = signer
  const [credential] = yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql`
        select from mahalla.device_credential where tenant_id = ${tenantId} and kind = 'x509' and lookup = ${sha256(chain[0]!)}`
    )
  )
  if (credential !== undefined) return undefined
  const known = Effect.map(deviceNamed(signer, name), (device) =>
    device === undefined ? undefined : { ...device, grounds: { provisioning: id } satisfies Grounds }
  )
  const device = yield* known
  if (device !== undefined || registeredOnly) return device
  const bring = Effect.flatMap(countBrought(id), (counted) =>
    counted ? createDevices([{ name, profileId }], () => "") : Effect.void
  )
  yield* withTenant(tenantId)(bring).pipe(
    Effect.provideService(Actor, system(tenantId)),
    // Its other connection was a moment faster.
    Effect.catchTag("InvalidInput", () => Effect.void)
  )
  return yield* known
})

/** Of the authority's own profile: a maker of meters opens no gateway that happens to have the name. */
const deviceNamed = ({ profileId, tenant, tenantId }: Signer, name: string) =>
  withPlatform(
    Effect.flatMap(PlatformTx, ({ sql }) =>
      Effect.map(
        sql<{ id: string; gateway: boolean }>`
          select id, gateway from mahalla.device
          where tenant_id = ${tenantId} and name = ${name} and profile_id = ${profileId} and status = 'active'`,
        ([row]): Found | undefined =>
          row === undefined ? undefined : { tenantId, tenant, deviceId: row.id, device: name, gateway: row.gateway }
      )
    )
  )

/** The session of whoever shows this, and on what it rests. */
export const authenticate = Effect.fn("telemetry.authenticate")(
  function* (credential: DeviceCredential) {
    const now = yield* Clock.currentTimeMillis
    const rows = yield* find(credential, new Date(now))
    const [held] = rows
    const chained = credential.kind === "x509" ? yield* byChain(credential.chain, now, held) : undefined
    const found =
      chained ??
      (held === undefined ? undefined : { ...held, grounds: { credential: held.credentialId } satisfies Grounds })
    // Two cities with the same secret: neither is guessed. A certificate is no secret: who has named it first has its device.
    if (found === undefined || (rows.length > 1 && credential.kind !== "x509")) return yield* refused
    const { device, deviceId, gateway, grounds, tenant, tenantId } = found
    const session: DeviceSession = { id: randomUUID(), deviceId, tenantId, tenant, device, gateway }
    return { session, grounds: grounds as Grounds }
  },
  Effect.mapError((error) => (error instanceof DeviceIngestError ? error : unavailable(error)))
)

/** Whether what a session was opened with still holds: its credential, or its authority. */
export const stillValid = Effect.fnUntraced(
  function* (session: DeviceSession, { credential, provisioning }: Grounds) {
    const now = new Date(yield* Clock.currentTimeMillis)
    const rows = yield* withPlatform(
      Effect.flatMap(
        PlatformTx,
        ({ sql }) => sql`
          select from mahalla.device d
          join mahalla.tenant t on t.tenant_id = d.tenant_id and t.suspended_at is null
          where d.tenant_id = ${session.tenantId} and d.id = ${session.deviceId} and d.status = 'active' and (
            exists (
              select from mahalla.device_credential c where c.tenant_id = d.tenant_id and c.id = ${credential ?? null} and c.revoked_at is null
                and (c.valid_until is null or c.valid_until > ${now}))
            or exists (
              select from mahalla.device_provisioning p where p.tenant_id = d.tenant_id and p.id = ${provisioning ?? null}
                and (p.valid_until is null or p.valid_until > ${now})))`
      )
    )
    if (rows.length === 0) return yield* refused
  },
  Effect.mapError((error) => (error instanceof DeviceIngestError ? error : unavailable(error)))
)
