/** What happens around signing in. No event carries a code, a token, a key, or what could stand for one. */
import * as Schema from "effect/Schema"
import { defineEvent } from "../../kernel/events/Event.ts"
import { SignInBy } from "./model.ts"

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
  payload: Schema.Struct({ ...ofSession, by: SignInBy, secondFactor: Schema.Literals(["none", "pending", "passed"]) })
})

/** `subject`: a keyed hash of the phone where somebody tried one, so that tries of one phone can be counted. */
export const SignInRefusedEvent = defineEvent({
  id: "identity.sign-in-refused",
  payload: Schema.Struct({ by: SignInBy, subject: Schema.optionalKey(Schema.String) }),
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

/** Without a session: on the way to an app of a third party. */
export const FactorPassed = defineEvent({
  id: "identity.factor-passed",
  payload: Schema.Struct({ ...ofPrincipal, sessionId: Schema.optionalKey(Schema.String), factor: Factor })
})

export const FactorRefused = defineEvent({
  id: "identity.factor-refused",
  payload: Schema.Struct({ ...ofPrincipal, sessionId: Schema.optionalKey(Schema.String), factor: Factor })
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

const ofCheck = { ...ofPrincipal, checkId: Schema.String, register: Schema.String }

/** Somebody asks a register to confirm them. No event carries what they claim. */
export const IdentityCheckStarted = defineEvent({
  id: "identity.check-started",
  payload: Schema.Struct({ ...ofCheck, consent: Schema.String })
})

export const IdentityConfirmed = defineEvent({
  id: "identity.confirmed",
  payload: Schema.Struct({ ...ofCheck, assurance: Schema.Literals(["low", "substantial", "high"]) })
})

/** It ended without a confirmation. */
export const IdentityNotConfirmed = defineEvent({
  id: "identity.not-confirmed",
  payload: Schema.Struct({
    ...ofCheck,
    state: Schema.Literals(["not-confirmed", "no-answer"]),
    reason: Schema.optionalKey(Schema.Literals(["no-match", "not-valid", "not-usable", "used-elsewhere"]))
  })
})

export const IdentityRevoked = defineEvent({ id: "identity.revoked", payload: Schema.Struct(ofCheck) })
const ofLink = { ...ofPrincipal, linkId: Schema.String, provider: Schema.String }

/** An outside identity signs in to the account from now on. */
export const OpenIdLinked = defineEvent({
  id: "identity.openid-linked",
  payload: Schema.Struct({ ...ofLink, because: Schema.Literals(["registered", "linked", "invited"]) })
})

export const OpenIdUnlinked = defineEvent({ id: "identity.openid-unlinked", payload: Schema.Struct(ofLink) })

export const OpenIdInvited = defineEvent({
  id: "identity.openid-invited",
  payload: Schema.Struct({ ...ofPrincipal, invitationId: Schema.String, provider: Schema.String })
})

export const OpenIdInvitationWithdrawn = defineEvent({
  id: "identity.openid-invitation-withdrawn",
  payload: Schema.Struct({ ...ofPrincipal, invitationId: Schema.String, provider: Schema.String })
})

/** What a provider may do here is another thing than before. */
export const OpenIdProviderChanged = defineEvent({
  id: "identity.openid-provider-changed",
  payload: Schema.Struct({
    provider: Schema.String,
    issuer: Schema.String,
    admits: Schema.Array(Schema.String),
    active: Schema.Boolean,
    secondFactor: Schema.Boolean
  })
})

export const OpenIdProviderRemoved = defineEvent({
  id: "identity.openid-provider-removed",
  payload: Schema.Struct({ provider: Schema.String })
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
  ApiKeyRevoked,
  IdentityCheckStarted,
  IdentityConfirmed,
  IdentityNotConfirmed,
  IdentityRevoked,
  OpenIdLinked,
  OpenIdUnlinked,
  OpenIdInvited,
  OpenIdInvitationWithdrawn,
  OpenIdProviderChanged,
  OpenIdProviderRemoved
]
