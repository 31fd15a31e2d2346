/**
 * The recovery text of a secret, for paper: Crockford's base 32 (no I, L, O, U) in lines with a check of their own, so that a slip of
 * the pen names its line.
 */
import { createHash } from "node:crypto"

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
const groups = 4
const groupLength = 5

const hash = (...parts: ReadonlyArray<string>) => createHash("sha256").update(parts.join("\0")).digest()

const toBase32 = (bytes: Uint8Array): string => {
  let [text, bits, held] = ["", 0, 0]
  for (const byte of bytes) {
    held = (held << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += alphabet[(held >> bits) & 31]
    }
    held &= (1 << bits) - 1
  }
  return bits === 0 ? text : text + alphabet[(held << (5 - bits)) & 31]
}

const fromBase32 = (text: string): Buffer => {
  const bytes: Array<number> = []
  let [bits, held] = [0, 0]
  for (const char of text) {
    held = (held << 5) | alphabet.indexOf(char)
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes.push((held >> bits) & 255)
    held &= (1 << bits) - 1
  }
  return Buffer.from(bytes)
}

/** Two characters over a line and its number: lines in another order are noticed too. */
const checkOf = (line: string, number: number) => toBase32(hash("line", String(number), line)).slice(0, 2)

/** What an operator repeats to show that they have the text; stands at its end and nowhere else. */
export const confirmationOf = (secret: string): string =>
  toBase32(hash("escrow", secret))
    .slice(0, 8)
    .replace(/^(.{4})/, "$1-")

export const recoveryText = (secret: string): string => {
  const text = toBase32(Buffer.from(secret))
  const lines: Array<string> = []
  for (let at = 0; at < text.length; at += groups * groupLength) {
    const line = text.slice(at, at + groups * groupLength)
    const number = lines.length + 1
    const grouped = line.replaceAll(/(.{5})(?=.)/g, "$1 ")
    lines.push(
      `${String(number).padStart(2)}  ${grouped.padEnd(groups * (groupLength + 1) - 1)}  ${checkOf(line, number)}`
    )
  }
  return `MAHALLA RECOVERY TEXT\n${lines.join("\n")}\nconfirmation ${confirmationOf(secret)}\n`
}

/** Letters that people take for others. */
const plain = (text: string) => text.toUpperCase().replaceAll("O", "0").replaceAll(/[IL]/g, "1")

/** The secret in a recovery text, or which line is wrong. */
export const readRecoveryText = (text: string): { readonly secret: string } | { readonly mistake: string } => {
  let [joined, expected] = ["", 0]
  for (const raw of text.split(/\r?\n/)) {
    const parts = /^\s*(\d{1,2})\s+(\S.*?)\s+(\S{2})\s*$/.exec(raw)
    if (parts === null) continue
    expected++
    const line = plain(parts[2]!.replaceAll(/\s/g, ""))
    if (Number(parts[1]) !== expected)
      return { mistake: `Line ${expected} is missing, or the lines are in another order.` }
    if (!/^[0-9A-HJKMNP-TV-Z]+$/.test(line) || plain(parts[3]!) !== checkOf(line, expected))
      return { mistake: `Line ${expected} has a slip in it; compare it with the paper.` }
    joined += line
  }
  if (joined === "")
    return { mistake: "This is no recovery text: it has lines of numbered groups, as mahalla key export prints them." }
  const secret = fromBase32(joined).toString()
  const given = /^confirmation\s+(\S+)/m.exec(text)?.[1]
  return given !== undefined && plain(given) === confirmationOf(secret)
    ? { secret }
    : { mistake: "Lines are missing at the end: the confirmation does not belong to the lines before it." }
}
