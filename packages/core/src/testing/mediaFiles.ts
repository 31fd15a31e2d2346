/**
 * The few facts about media files that the Encoder's rules look up for themselves, without any decoder.
 */

/** Names of the outermost boxes of an MP4 file, ISO 14496-12 section 4.2. */
export const topBoxes = (bytes: Uint8Array): ReadonlyArray<string> => {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const names: Array<string> = []
  for (let at = 0; at + 8 <= file.length;) {
    const size = file.readUInt32BE(at)
    names.push(file.toString("latin1", at + 4, at + 8))
    if (size === 1 && at + 16 <= file.length) at += Number(file.readBigUInt64BE(at + 8))
    else if (size < 8) break
    else at += size
  }
  return names
}

/** Size that a JPEG's frame header states, ITU T.81 section B.2.2. Throws when it is no JPEG. */
export const jpegSize = (bytes: Uint8Array): { readonly width: number; readonly height: number } => {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (file.length < 4 || file.readUInt16BE(0) !== 0xffd8) throw new Error("It is no JPEG.")
  for (let at = 2; at + 9 <= file.length; at += 2 + file.readUInt16BE(at + 2)) {
    const marker = file.readUInt16BE(at)
    const isFrame = marker >= 0xffc0 && marker <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(marker)
    if (isFrame) return { width: file.readUInt16BE(at + 7), height: file.readUInt16BE(at + 5) }
    if (marker < 0xffc0) break
  }
  throw new Error("The JPEG has no frame header.")
}

/** One box of an MP4 file. */
export const box = (name: string, body: Uint8Array | string): Uint8Array => {
  const content = Buffer.from(body as string)
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + content.length, 0)
  head.write(name, 4, "latin1")
  return Buffer.concat([head, content])
}

/** One marker segment of a JPEG. */
export const segment = (marker: number, body: Uint8Array | string): Uint8Array => {
  const content = Buffer.from(body as string)
  const head = Buffer.alloc(4)
  head.writeUInt16BE(marker, 0)
  head.writeUInt16BE(2 + content.length, 2)
  return Buffer.concat([head, content])
}

/** EXIF with an orientation (1–8) and a description; goes right behind a JPEG's first two bytes. */
export const exif = (orientation: number, description: string): Uint8Array => {
  const text = Buffer.from(`${description}\0`, "latin1")
  const tiff = Buffer.alloc(38 + text.length)
  tiff.write("MM\0*", 0, "latin1")
  tiff.writeUInt32BE(8, 4)
  tiff.writeUInt16BE(2, 8)
  // ImageDescription, ASCII, stored at 38; then Orientation, SHORT, stored in place.
  tiff.writeUInt16BE(0x010e, 10)
  tiff.writeUInt16BE(2, 12)
  tiff.writeUInt32BE(text.length, 14)
  tiff.writeUInt32BE(38, 18)
  tiff.writeUInt16BE(0x0112, 22)
  tiff.writeUInt16BE(3, 24)
  tiff.writeUInt32BE(1, 26)
  tiff.writeUInt16BE(orientation, 30)
  text.copy(tiff, 38)
  return segment(0xffe1, Buffer.concat([Buffer.from("Exif\0\0", "latin1"), tiff]))
}

export const withExif = (jpeg: Uint8Array, orientation: number, description: string): Uint8Array =>
  Buffer.concat([jpeg.subarray(0, 2), exif(orientation, description), jpeg.subarray(2)])
