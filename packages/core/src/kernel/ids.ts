/** Identifiers: UUIDv7 (RFC 9562), ordered by time, and short references for people. */
import { randomBytes } from "node:crypto"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

let pool = randomBytes(8192)
let drawn = 0
/** Random bytes for what is made often: asking the system for each id's or nonce's bytes would cost more than the id. Not for keys. */
export const draw = (size: number): Uint8Array => {
  if (drawn + size > pool.length) {
    pool = randomBytes(8192)
    drawn = 0
  }
  return Uint8Array.prototype.slice.call(pool, drawn, (drawn += size))
}
const generator = SecureRandom.make(draw)

/** A new UUIDv7; ascending within this process. */
export const newId: Effect.Effect<string> = Effect.orDie(generator.uuidV7())

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

/** Eight characters of Crockford's base 32 from the random part of an id, as `7F3K-9QXZ`. */
export const referenceOf = (id: string): string => {
  // Forty bits: a number holds them exactly.
  let bits = Number.parseInt(id.slice(-10), 16)
  let text = ""
  for (let place = 0; place < 8; place++) {
    text += alphabet[bits % 32]
    bits = Math.floor(bits / 32)
  }
  return `${text.slice(0, 4)}-${text.slice(4)}`
}

/** A UUID of any version, lower case. */
export const Id = Schema.String.check(Schema.isPattern(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)).annotate({
  identifier: "Id",
  description: "UUID, lower case"
})

export const isId = Schema.is(Id)
