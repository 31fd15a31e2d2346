/** Checksums of frames. */
import { crc32 } from "node:zlib"

export interface Checksum {
  /** In bytes. */
  readonly size: number
  /** As it stands in the frame. */
  readonly of: (bytes: Uint8Array) => Uint8Array
}

/** CRC-16/MODBUS: polynomial 0x8005 reflected, initial value 0xFFFF; low byte first (Modbus over Serial Line 1.02, 6.2.2). */
export const crc16: Checksum = {
  size: 2,
  of: (bytes) => {
    let crc = 0xffff
    for (const byte of bytes) {
      crc ^= byte
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1
    }
    return Uint8Array.of(crc & 0xff, crc >>> 8)
  }
}

/** CRC-32/ISO-HDLC, as in Ethernet and zip; high byte first. */
export const crc32Checksum: Checksum = {
  size: 4,
  of: (bytes) => {
    const crc = Buffer.alloc(4)
    crc.writeUInt32BE(crc32(bytes))
    return crc
  }
}
