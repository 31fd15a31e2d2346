/** What happens around signing in. No event carries a code, a token, a key, or what could stand for one. */
import * as Schema from "effect/Schema"
import { defineEvent } from "../../kernel/events/Event.ts"

const By = Schema.Literals(["code", "link", "passkey"])
const Factor = Schema.Literals(["totp", "recovery-codes", "passkey"])
const ofPrincipal = { principalId: Schema.String }
const ofSession = { ...ofPrincipal, sessionId: Schema.String }

export const Registered = defineEvent({
  id: "identity.registered",
  payload: Schema.Struct({ ...ofPrincipal, phone: Schema.String }),
  personal: ["phone"]
})

export const SignedIn = defineEvent({
  id: "identity.signed-in",
  payload: Schema.Struct({ ...ofSession, by: By, secondFactor: Schema.Literals(["none", "pending", "passed"]) })
})

/** `subject`: a keyed hash of the phone where somebody tried one, so that tries of one phone can be counted. */
export const SignInRefusedEvent = defineEvent({
  id: "identity.sign-in-refused",
  payload: Schema.Struct({ by: By, subject: Schema.optionalKey(Schema.String) }),
  personal: ["subject"]
})

export const LinkIssued = defineEvent({ id: "identity.link-issued", payload: Schema.Struct(ofPrincipal) })

/** Somebody signed in on a device that they had not used before. */
export const NewDevice = defineEvent({
  id: "identity.new-device",
  payload: Schema.Struct({ ...ofSession, deviceId: Schema.String })
})

export const SessionEnded = defineEvent({
  id: "identity.session-ended",
  payload: Schema.Struct({ ...ofSession, because: Schema.Literals(["signed-out", "revoked", "reused"]) })
})

/** A refresh token came a second time: it was copied. The session has been ended. */
export const RefreshReused = defineEvent({ id: "identity.refresh-reused", payload: Schema.Struct(ofSession) })

export const FactorAdded = defineEvent({
  id: "identity.factor-added",
  payload: Schema.Struct({ ...ofPrincipal, factor: Factor })
})

export const FactorRemoved = defineEvent({
  id: "identity.factor-removed",
  payload: Schema.Struct({ ...ofPrincipal, factor: Factor })
})

export const FactorPassed = defineEvent({
  id: "identity.factor-passed",
  payload: Schema.Struct({ ...ofSession, factor: Factor })
})

export const FactorRefused = defineEvent({
  id: "identity.factor-refused",
  payload: Schema.Struct({ ...ofSession, factor: Factor })
})

export const ApiKeyCreated = defineEvent({
  id: "identity.api-key-created",
  payload: Schema.Struct({
    ...ofPrincipal,
    keyId: Schema.String,
    scopes: Schema.Array(Schema.String),
    expiresAt: Schema.String
  })
})

export const ApiKeyRevoked = defineEvent({
  id: "identity.api-key-revoked",
  payload: Schema.Struct({ ...ofPrincipal, keyId: Schema.String })
})

export const identityEvents = [
  Registered,
  SignedIn,
  SignInRefusedEvent,
  LinkIssued,
  NewDevice,
  SessionEnded,
  RefreshReused,
  FactorAdded,
  FactorRemoved,
  FactorPassed,
  FactorRefused,
  ApiKeyCreated,
  ApiKeyRevoked
]
