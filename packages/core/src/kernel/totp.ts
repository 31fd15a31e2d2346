/** Codes of an authenticator app (RFC 6238): SHA-1, six digits, thirty seconds, one step of drift either way. */
import { Secret, TOTP } from "otpauth"

const period = 30

const totpOf = (secret: string, issuer = "Mahalla", label = "") =>
  new TOTP({ issuer, label, algorithm: "SHA1", digits: 6, period, secret: Secret.fromBase32(secret) })

/** `otpauth:` address for a QR code. `secret` in base 32. */
export const totpUri = (secret: string, issuer: string, label: string): string =>
  totpOf(secret, issuer, label).toString()

/** The time step whose code it is; undefined when it is none of the three. Whoever takes it keeps the step, so that none is taken twice. */
export const totpStep = (secret: string, code: string, now: number): number | undefined => {
  const delta = totpOf(secret).validate({ token: code, timestamp: now, window: 1 })
  return delta === null ? undefined : Math.floor(now / 1000 / period) + delta
}
