/**
 * Finds card numbers where none may be: in dumps, logs, files. Numbers that begin with 1 are left out, which no payment card's does and every moment
 * in milliseconds or microseconds does, and those inside UUIDs and longer words.
 */
import { isCardNumber } from "../ports/Payments.ts"

const uuids = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi
/** In one piece, or in groups of four as on the card. */
const candidates = /(?<![\w.-])(?:[2-9]\d{12,18}|[2-9]\d{3}([ -])\d{4}\1\d{4}\1\d{1,7})(?![\w]|[.-]\d)/g

export const cardNumbersIn = (text: string): ReadonlyArray<string> =>
  [...text.replaceAll(uuids, "#").matchAll(candidates)].map(([found]) => found).filter(isCardNumber)
