/** What a scan passes over, each with its reason. Whatever is not here fails the scan. */
import type { Person } from "./scene.ts"

export interface Ignored {
  readonly tool: "sqlmap" | "wapiti" | "gate"
  readonly kind: string
  readonly text: RegExp
  readonly reason: string
}

export const ignored: ReadonlyArray<Ignored> = [
  {
    tool: "wapiti",
    kind: "HTTP Secure Headers",
    text: /X-XSS-Protection/,
    reason:
      "Browsers have dropped that filter, and where it lives it opens holes of its own (OWASP Secure Headers); the pages' CSP lets no other script run."
  }
]

export interface Accepted {
  readonly as: Person
  readonly status: number
  readonly reason: string
}

/** Operations that no valid request of a scan opens: what they answer instead, again and again. */
export const accepted: Readonly<Record<string, Accepted>> = {
  "POST /v1/auth/second-factor": {
    as: "citizen",
    status: 401,
    reason:
      "A code of an authenticator app is good for half a minute and once; a wrong one is compared just as a right one is."
  },
  "POST /v1/me/factors/totp/confirm": { as: "citizen", status: 401, reason: "The same." },
  "POST /v1/platform/second-factor": { as: "platform", status: 401, reason: "The same." },
  "POST /v1/platform/factors/totp/confirm": { as: "platform", status: 401, reason: "The same." },
  "POST /v1/auth/passkey": {
    as: "visitor",
    status: 401,
    reason: "The answer of an authenticator is signed over a challenge that is good once."
  },
  "POST /v1/me/passkeys": { as: "citizen", status: 401, reason: "The same." },
  "DELETE /v1/me/passkeys/{id}": {
    as: "citizen",
    status: 404,
    reason: "There is no passkey without an authenticator; an id is looked up all the same."
  },
  "DELETE /v1/me/apps/{id}": {
    as: "citizen",
    status: 404,
    reason: "Nobody has let an app in; an id is looked up all the same."
  },
  "POST /v1/payouts/{id}/settlement": {
    as: "treasurer",
    status: 422,
    reason:
      "A reward that was paid stays paid, whatever its row says: the ledger refuses last, after everything was read."
  },
  "POST /v1/auth/openid/session": {
    as: "visitor",
    status: 401,
    reason: "A ticket comes from a provider's answer and is good once; a wrong one is looked up all the same."
  },
  "POST /v1/me/openid": { as: "citizen", status: 401, reason: "The same." },
  "DELETE /v1/me/openid/{id}": {
    as: "citizen",
    status: 404,
    reason: "Nobody has come through a provider; an id is looked up all the same."
  },
  "DELETE /v1/me": {
    as: "citizen",
    status: 401,
    reason: "The code was sent by message and is good once; a wrong one is compared just as a right one is."
  }
}
