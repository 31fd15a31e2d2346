/** CRC-32C (Castagnoli), RFC 3720 appendix B.4. Of nothing it is 0. */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value >>> 0
})

export const crc32c = (bytes: Uint8Array): number => {
  let value = 0xffff_ffff
  for (let at = 0; at < bytes.length; at++) value = (value >>> 8) ^ table[(value ^ bytes[at]!) & 0xff]!
  return (value ^ 0xffff_ffff) >>> 0
}
