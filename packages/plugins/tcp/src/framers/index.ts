/** What loggers may speak, by the name in the configuration. A new protocol is a new file here and a name in `config.ts`. */
import { crc16, crc32Checksum } from "./crc.ts"
import { crcFrames } from "./crcFrames.ts"
import { jsonLines } from "./jsonLines.ts"

export const framers = {
  "json-lines": jsonLines,
  "crc16-frames": crcFrames(crc16),
  "crc32-frames": crcFrames(crc32Checksum)
} as const
