/** What every way of signing in ends with: the device, the session, what is written down and who is told. */
import * as Effect from "effect/Effect"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { raiseAlert } from "../security/index.ts"
import { peopleOn, recognise } from "./devices.ts"
import { NewDevice, SignedIn, SignInRefusedEvent } from "./events.ts"
import { tellPerson } from "./notices.ts"
import type { SignInBy } from "./model.ts"
import { demandActive, openSession } from "./sessions.ts"

/** The client's side of a sign-in. */
export interface Visit {
  /** The number the client was given at an earlier sign-in. */
  readonly device: string | undefined
  readonly userAgent: string | undefined
}

/** Whether the person has set up a second factor. */
export const hasFactor = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ has: boolean }>`
    select exists (select from mahalla.totp where tenant_id = ${tenantId} and principal_id = ${principalId} and confirmed_at is not null)
        or exists (select from mahalla.passkey where tenant_id = ${tenantId} and principal_id = ${principalId}) as has`
  return row!.has
})

/** Accounts on one device that are more than a household: staff looks at it. */
const manyPeople = 5

/** What somebody else has seen of the person, where it was not seen here. */
export interface Proof {
  /** Whether a second factor was shown there. */
  readonly secondFactor?: boolean
  /** When the person showed who they are. Default: now. */
  readonly at?: Date
}

/** Begins a session for somebody who has just shown who they are. */
export const beginSession = Effect.fn("identity.beginSession")(function* (
  principalId: string,
  by: SignInBy,
  visit: Visit,
  proof: Proof = {}
) {
  yield* demandActive(principalId)
  // A passkey is two factors in one: the device, and the person before it.
  const passed = by === "passkey" || proof.secondFactor === true
  const secondFactor = passed ? "passed" : (yield* hasFactor(principalId)) ? "pending" : "none"
  const device = yield* recognise(principalId, visit.device, visit.userAgent)
  const tokens = yield* openSession({ principalId, by, secondFactor, provedAt: proof.at, deviceId: device.id })
  const { sessionId } = tokens
  yield* appendEvent(SignedIn, { principalId, sessionId, by, secondFactor }, { actorId: principalId })
  if (device.familiarity !== "known") {
    const people = yield* peopleOn(device.id)
    if (people >= manyPeople)
      yield* raiseAlert({
        kind: "many-accounts",
        originator: `device ${device.hash.slice(0, 16)}`,
        summary: `${people} people have signed in on one device.`
      })
  }
  if (device.familiarity === "new") {
    yield* appendEvent(NewDevice, { principalId, sessionId, deviceId: device.id }, { actorId: principalId })
    yield* tellPerson(principalId, "new-device")
  }
  return { ...tokens, device: device.number }
})

/** Writes a refusal down in a transaction of its own, before it is answered. */
export const writeRefusal = (tenantId: string, by: SignInBy, subject?: string) =>
  withTenant(tenantId)(appendEvent(SignInRefusedEvent, { by, ...(subject === undefined ? {} : { subject }) }))
