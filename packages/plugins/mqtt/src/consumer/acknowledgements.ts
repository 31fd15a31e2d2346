/**
 * PUBACKs in the order in which their messages came, as MQTT demands, however the commits end. Those of one commit leave in one piece: a write
 * of four bytes for each is what a consumer spent most of its time on, and the broker answers each with a read and a message.
 */

export interface Acknowledgements {
  /** Notes a message; the function that comes back says that it is settled, with PUBACK's reason code where that is a refusal. */
  readonly expect: (messageId: number) => (reasonCode?: number) => void
  /** Sends what may be acknowledged now; by itself it is sent when whoever settles has come to an end. */
  readonly flush: () => void
  /** Messages that came and are not acknowledged. */
  readonly pending: () => number
}

/** MQTT 5, 3.4: without a reason code it is success. */
const puback = (bytes: Buffer, at: number, messageId: number, reasonCode: number): number => {
  bytes[at] = 0x40
  bytes[at + 1] = reasonCode === 0 ? 2 : 3
  bytes.writeUInt16BE(messageId, at + 2)
  if (reasonCode === 0) return at + 4
  bytes[at + 4] = reasonCode
  return at + 5
}

/** `send` gets the packets that may leave now, in order. */
export const acknowledgements = (send: (packets: Buffer) => void): Acknowledgements => {
  const waiting: Array<{ readonly messageId: number; reasonCode: number | undefined }> = []
  let scheduled = false
  const flush = () => {
    const end = waiting.findIndex(({ reasonCode }) => reasonCode === undefined)
    const settled = waiting.splice(0, end === -1 ? waiting.length : end)
    if (settled.length === 0) return
    const bytes = Buffer.allocUnsafe(settled.length * 5)
    let length = 0
    for (const { messageId, reasonCode = 0 } of settled) length = puback(bytes, length, messageId, reasonCode)
    send(bytes.subarray(0, length))
  }
  return {
    expect: (messageId) => {
      const entry: (typeof waiting)[number] = { messageId, reasonCode: undefined }
      waiting.push(entry)
      return (reasonCode = 0) => {
        entry.reasonCode = reasonCode
        if (scheduled || waiting[0] !== entry) return
        scheduled = true
        queueMicrotask(() => {
          scheduled = false
          flush()
        })
      }
    },
    flush,
    pending: () => waiting.length
  }
}
