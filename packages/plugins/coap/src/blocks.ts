/**
 * Requests that come in blocks (RFC 7959, Block1), put together by sender, path and Request-Tag (RFC 9175), whatever their tokens; bounded in
 * number and size, and in turn only.
 */

/** What to do with a block: answer it with this code, or go on with the whole. */
export type Assembled =
  { readonly code: "2.31" | "4.00" | "4.02" | "4.08" | "4.13" | "5.03" } | { readonly whole: Buffer }

export interface Block {
  /** Sender, path, query and tag. */
  readonly key: string
  /** The option's value. */
  readonly option: Uint8Array
  readonly payload: Uint8Array
  /** Epoch milliseconds. */
  readonly now: number
}

/** Transfers that may be under way at once. */
const mostTransfers = 256
/** Bytes of all of them: whoever sends blocks has shown nothing yet. */
const mostBytes = 16 * 1_024 * 1_024
/** Milliseconds for which a transfer may pause: RFC 7252's EXCHANGE_LIFETIME. */
const lifetime = 247_000

interface Transfer {
  /** Has room for more than came: one buffer, for blocks may be of 16 bytes. */
  body: Buffer
  size: number
  touched: number
}

export const makeBlocks = (maxPayload: number): ((block: Block) => Assembled) => {
  /** The one that was touched longest ago first. */
  const transfers = new Map<string, Transfer>()
  let held = 0
  const drop = (key: string) => {
    held -= transfers.get(key)?.body.length ?? 0
    transfers.delete(key)
  }
  return ({ key, now, option, payload }) => {
    if (option.length > 3) return { code: "4.02" }
    const number = option.reduce((value, byte) => value * 256 + byte, 0)
    const exponent = number & 7
    const more = (number & 8) !== 0
    if (exponent === 7) return { code: "4.02" }
    const size = 2 ** (exponent + 4)
    const offset = (number >> 4) * size
    if (offset + payload.length > maxPayload) {
      drop(key)
      return { code: "4.13" }
    }
    // Only the last one may be smaller than it says, and none larger.
    if (payload.length > size || (more && payload.length !== size)) return { code: "4.00" }
    for (const [old, { touched }] of transfers) {
      if (now - touched < lifetime) break
      drop(old)
    }
    const known = offset === 0 ? undefined : transfers.get(key)
    if (offset > 0 && (known === undefined || offset > known.size)) return { code: "4.08" }
    const transfer = known ?? { body: Buffer.alloc(0), size: 0, touched: now }
    drop(key)
    if (offset === transfer.size) {
      const end = offset + payload.length
      if (end > transfer.body.length) {
        const body = Buffer.alloc(Math.min(maxPayload, 2 * end))
        transfer.body.copy(body)
        transfer.body = body
      }
      transfer.body.set(payload, offset)
      transfer.size = end
    }
    if (!more) return { whole: Buffer.from(transfer.body.subarray(0, transfer.size)) }
    if (transfers.size >= mostTransfers || held + transfer.body.length > mostBytes) return { code: "5.03" }
    transfer.touched = now
    held += transfer.body.length
    transfers.set(key, transfer)
    return { code: "2.31" }
  }
}
