/**
 * Messages as they came, many in one compressed piece: for replaying a stretch of time. A record is topic, device, format, time of arrival and
 * payload; numbers are little-endian, texts have their length before them.
 */
import { zstdCompressSync, zstdDecompressSync, constants } from "node:zlib"
import type { IngestMessage, PayloadFormat } from "../../ports/DeviceIngest.ts"

/** One message, by the name of its device. */
export interface RawMessage {
  readonly device: string
  readonly topic: string
  readonly format: PayloadFormat
  readonly receivedAt: number
  readonly payload: Uint8Array
}

export const deviceNameOf = ({ from }: IngestMessage): string => ("session" in from ? from.session.device : from.device)

// The fastest that still halves JSON: it stands in the way of every acknowledgement.
const level = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

export const packMessages = (messages: ReadonlyArray<RawMessage>): Buffer => {
  const texts = messages.map(({ device, format, topic }) => Buffer.from(`${device}\n${format}\n${topic}`))
  let size = 0
  for (let place = 0; place < messages.length; place++)
    size += 16 + texts[place]!.length + messages[place]!.payload.length
  const bytes = Buffer.allocUnsafe(size)
  let end = 0
  for (let place = 0; place < messages.length; place++) {
    const { payload, receivedAt } = messages[place]!
    const text = texts[place]!
    end = bytes.writeDoubleLE(receivedAt, end)
    end = bytes.writeUInt32LE(text.length, end)
    end = bytes.writeUInt32LE(payload.length, end)
    bytes.set(text, end)
    bytes.set(payload, end + text.length)
    end += text.length + payload.length
  }
  return zstdCompressSync(bytes, level)
}

export const unpackMessages = (body: Uint8Array): ReadonlyArray<RawMessage> => {
  const bytes = zstdDecompressSync(body)
  const messages: Array<RawMessage> = []
  let place = 0
  while (place < bytes.length) {
    const receivedAt = bytes.readDoubleLE(place)
    const text = bytes.readUInt32LE(place + 8)
    const payload = bytes.readUInt32LE(place + 12)
    place += 16
    const [device, format, ...topic] = bytes.toString("utf8", place, place + text).split("\n")
    place += text
    messages.push({
      device: device!,
      topic: topic.join("\n"),
      format: format as PayloadFormat,
      receivedAt,
      payload: bytes.subarray(place, place + payload)
    })
    place += payload
  }
  return messages
}
