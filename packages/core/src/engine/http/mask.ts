/** What must not stand in logs: phone numbers, tokens, codes. */

const token = /\b[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/g

/** Keys of servers, refresh tokens, devices' numbers. */
const opaque = /\bm(?:ak|rt|dv)_[A-Za-z0-9_-]{16,}/g

/** An anonymous upload's address ends with the secret that only its sender holds. */
const uploadSecret = /([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.[A-Za-z0-9_-]{16,}/g

/** Keeps the last two digits of what looks like a phone number, and nothing of what looks like a token. UUIDs pass. */
export const mask = (text: string): string =>
  text
    .replaceAll(token, "<token>")
    .replaceAll(opaque, "<token>")
    .replaceAll(uploadSecret, "$1.<secret>")
    .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(\+|%2B)?\d{3}[\d\s()-]{5,14}\d/g, (found) =>
      /^[0-9a-f]{8}-/.test(found) && found.length === 36 ? found : `<…${found.slice(-2)}>`
    )
