/**
 * How devices show who they are. Secrets are drawn by us, shown once and kept as SHA-256: they are long and random, so a slow hash would only slow
 * the devices. Several may be valid at once, so that a fleet can be given new ones before the old ones end.
 */
import { createHash, randomBytes, X509Certificate } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { InvalidInput, NotFound } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import { demand } from "../../kernel/policy/Policy.ts"
import { getDevice } from "./devices.ts"
import { registryChanged } from "./registry.ts"

export const sha256 = (bytes: string | Uint8Array): Buffer => createHash("sha256").update(bytes).digest()

export type NewCredential =
  /** `token`: one that a fleet has already, of 16 characters at least; drawn where it is left out. */
  | { readonly kind: "token"; readonly token?: string }
  | { readonly kind: "basic"; readonly user: string }
  /** PEM or base64 DER of the device's own certificate. */
  | { readonly kind: "x509"; readonly certificate: string }

export interface CredentialRequest {
  readonly credential: NewCredential
  /** Seconds from now after which the device's other credentials end; without it they stay. */
  readonly othersEndAfter?: number
  readonly validUntil?: Date
}

export const parseCertificate = (text: string, pointer: string) =>
  Effect.try({
    try: () => new X509Certificate(text.includes("-----BEGIN") ? text : Buffer.from(text, "base64")),
    catch: () =>
      new InvalidInput({
        issues: [{ pointer, detail: "This is no X.509 certificate in PEM or base64 DER." }]
      })
  })

/** For people. */
export const subjectOf = (certificate: X509Certificate): string =>
  certificate.subject.replaceAll("\n", ", ").slice(0, 200)

interface Made {
  readonly lookup: Buffer
  readonly secret: Buffer | null
  readonly label: string
  /** What is shown once. */
  readonly shown: { readonly token?: string; readonly password?: string }
}

const make = Effect.fnUntraced(function* (credential: NewCredential): Effect.fn.Return<Made, InvalidInput> {
  if (credential.kind === "x509") {
    const certificate = yield* parseCertificate(credential.certificate, "/credential/certificate")
    return {
      lookup: sha256(certificate.raw),
      secret: null,
      label: subjectOf(certificate),
      shown: {}
    }
  }
  const drawn = randomBytes(24).toString("base64url")
  if (credential.kind === "basic")
    return {
      lookup: sha256(credential.user),
      secret: sha256(drawn),
      label: credential.user,
      shown: { password: drawn }
    }
  const token = credential.token ?? drawn
  return {
    lookup: sha256(token),
    secret: null,
    label: `${token.slice(0, 4)}…`,
    shown: credential.token === undefined ? { token } : {}
  }
})

export interface StoredCredential {
  readonly id: string
  readonly kind: "token" | "basic" | "x509"
  readonly label: string
  readonly validFrom: Date
  readonly validUntil: Date | null
  readonly revokedAt: Date | null
}

/** Gives a device one more credential; what is secret in it is in the answer, and never again. */
export const addCredential = Effect.fn("telemetry.addCredential")(function* (
  deviceId: string,
  request: CredentialRequest
) {
  const { sql, tenantId } = yield* TenantTx
  yield* demand("device-credential.manage", yield* getDevice(deviceId))
  const { label, lookup, secret, shown } = yield* make(request.credential)
  const id = yield* newId
  const now = yield* Clock.currentTimeMillis
  yield* registryChanged
  const validUntil = request.validUntil ?? null
  const rows = yield* sql`
    insert into mahalla.device_credential (tenant_id, id, device_id, kind, lookup, secret, label, valid_from, valid_until)
    values (${tenantId}, ${id}, ${deviceId}, ${request.credential.kind}, ${lookup}, ${secret}, ${label}, ${new Date(now)}, ${validUntil})
    on conflict (tenant_id, kind, lookup) do nothing returning id`
  if (rows.length === 0)
    return yield* new InvalidInput({
      issues: [{ pointer: "/credential", detail: "Another credential of this city is the same. Give a different one." }]
    })
  if (request.othersEndAfter !== undefined)
    yield* sql`
      update mahalla.device_credential set valid_until = least(valid_until, ${new Date(now + request.othersEndAfter * 1000)})
      where tenant_id = ${tenantId} and device_id = ${deviceId} and id <> ${id} and revoked_at is null`
  return { id, kind: request.credential.kind, label, validFrom: new Date(now), validUntil, revokedAt: null, ...shown }
})

export const listCredentials = Effect.fn("telemetry.listCredentials")(function* (deviceId: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* demand("device-credential.manage", yield* getDevice(deviceId))
  return yield* sql<StoredCredential>`
    select id, kind, label, valid_from as "validFrom", valid_until as "validUntil", revoked_at as "revokedAt"
    from mahalla.device_credential where tenant_id = ${tenantId} and device_id = ${deviceId} order by id limit 1000`
})

/** Ends a credential at once; connections that were opened with it are closed within a minute. */
export const revokeCredential = Effect.fn("telemetry.revokeCredential")(function* (deviceId: string, id: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* demand("device-credential.manage", yield* getDevice(deviceId))
  yield* registryChanged
  const now = new Date(yield* Clock.currentTimeMillis)
  const rows = yield* sql`
    update mahalla.device_credential set revoked_at = coalesce(revoked_at, ${now})
    where tenant_id = ${tenantId} and device_id = ${deviceId} and id = ${id} returning id`
  if (rows.length === 0) return yield* new NotFound({ what: "credential", id })
})
