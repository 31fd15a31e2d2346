/**
 * What must not stand in logs, in stored errors, or in what others read of a failure: phone numbers, national ids, tokens, codes. A last
 * net under rules that keep them out; whoever writes a message does not put them there.
 */

const jwt = /\b[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/g

/** Links for signing in and the like: 32 random bytes as base64url. */
const secret = /(?<![A-Za-z0-9_-])(?=[A-Za-z_-]*\d)(?=[a-z\d_-]*[A-Z])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])/g

/** Keys of servers, refresh tokens, devices' numbers: they say by their first letters what they are. */
const named = /\bm(?:ak|rt|dv)_[A-Za-z0-9_-]{16,}/g

/** An anonymous upload's address ends with the secret that only its sender holds. */
const uploadSecret = /([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.[A-Za-z0-9_-]{16,}/g

/** Six digits where somebody speaks of a code. */
const code =
  /(?<=(?:code|kod|код|კოდი)\P{Nd}{0,20})(?<!\d)\d{6}(?!\d)|(?<!\d)\d{6}(?!\d)(?=\P{Nd}{0,12}(?:code|kod|код|კოდი))/giu

/** Keeps the last two digits of what looks like a phone number or a national id, and nothing of tokens and codes. UUIDs pass. */
export const mask = (text: string): string =>
  text
    .replaceAll(jwt, "<token>")
    .replaceAll(named, "<token>")
    .replaceAll(uploadSecret, "$1.<secret>")
    .replaceAll(secret, "<token>")
    .replaceAll(code, "<code>")
    .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(\+|%2B)?\d{3}[\d\s()-]{5,14}\d/g, (found) =>
      /^[0-9a-f]{8}-/.test(found) && found.length === 36 ? found : `<…${found.slice(-2)}>`
    )
