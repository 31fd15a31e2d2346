/**
 * The first look at a file, by its first bytes and never by its name. Whatever is not in the table is not shown to ffmpeg at all.
 */
import { constants } from "node:fs"
import { open } from "node:fs/promises"

export type Sniffed =
  | {
      readonly kind: "video" | "image"
      /** ffmpeg's name of the only demuxer that may read the file. */
      readonly demuxer: string
      /** The container as the port names it. */
      readonly container: string
    }
  /** Sound only; needs no decoder to be refused. */
  | { readonly kind: "audio" }
  /** Text that sends a player elsewhere. */
  | { readonly kind: "reference" }
  /** Recognised, but not read: the reason for people. */
  | { readonly kind: "unread"; readonly what: string }
  | { readonly kind: "unknown" }

const video = (demuxer: string, container: string): Sniffed => ({ kind: "video", demuxer, container })
const image = (demuxer: string, container: string): Sniffed => ({ kind: "image", demuxer, container })

const references =
  /^(#EXTM3U|ffconcat version|\[playlist\]|\[Reference\]|RTSPtext|SMILtext|v=0\r?\n|(https?|rtsps?|rtmps?|file|concat|subfile):)|<(MPD|smil|asx|SmoothStreamingMedia|xspf|playlist)[\s>]/i

/** Brands of ISO 14496-12 that stand for still pictures; ffmpeg before 7 cannot put their tiles together. */
const stillBrands = new Set(["heic", "heix", "heim", "heis", "mif1", "msf1", "avif", "avis"])

/** Frame heads of MP3 and of AAC in ADTS. */
const mpegAudio = new Set(["fffb", "fffa", "fff3", "fff2", "fff1", "fff9"])

const iso = (head: Buffer): Sniffed | undefined => {
  const box = head.toString("latin1", 4, 8)
  if (box === "ftyp") {
    const brand = head.toString("latin1", 8, 12)
    if (stillBrands.has(brand)) return { kind: "unread", what: "a HEIC or AVIF picture; send it as JPEG" }
    return video("mov", brand === "qt  " ? "mov" : brand.startsWith("3g") ? "3gp" : "mp4")
  }
  return ["moov", "mdat", "wide", "skip", "free", "pnot"].includes(box) ? video("mov", "mov") : undefined
}

const repeats = (head: Buffer, byte: number, from: number, every: number) =>
  head.length > from + 2 * every && [0, 1, 2].every((n) => head[from + n * every] === byte)

export const sniffBytes = (head: Buffer): Sniffed => {
  const at = (text: string, offset = 0) => head.toString("latin1", offset, offset + text.length) === text
  const hex = (bytes: string) => head.toString("hex", 0, bytes.length / 2) === bytes
  const isoFile = iso(head)
  if (isoFile !== undefined) return isoFile
  if (hex("1a45dfa3")) return video("matroska", head.includes("webm") ? "webm" : "matroska")
  if (at("RIFF")) {
    if (at("AVI ", 8)) return video("avi", "avi")
    if (at("WEBP", 8)) return image("webp_pipe", "webp")
    if (at("WAVE", 8)) return { kind: "audio" }
  }
  if (hex("ffd8ff")) return image("jpeg_pipe", "jpeg")
  if (hex("89504e470d0a1a0a")) return image("png_pipe", "png")
  if (at("GIF87a") || at("GIF89a")) return image("gif", "gif")
  if (at("BM") && head.length > 26 && head.readUInt32LE(10) < 4096) return image("bmp_pipe", "bmp")
  if (at("FLV\u0001")) return video("flv", "flv")
  if (at("OggS")) return video("ogg", "ogg")
  if (hex("3026b2758e66cf11")) return video("asf", "asf")
  if (hex("000001ba")) return video("mpeg", "mpeg")
  if (repeats(head, 0x47, 0, 188) || repeats(head, 0x47, 4, 192)) return video("mpegts", "mpegts")
  if (at("ID3") || at("fLaC") || at("#!AMR") || at("FORM") || mpegAudio.has(head.toString("hex", 0, 2)))
    return { kind: "audio" }
  const text = head
    .toString("latin1")
    .replace(/^\u00ef\u00bb\u00bf/, "")
    .trimStart()
  if (references.test(text)) return { kind: "reference" }
  return { kind: "unknown" }
}

export interface Looked {
  readonly bytes: number
  readonly regular: boolean
  readonly sniffed: Sniffed
}

/** Opens, looks at size and the first 4 KiB, closes. */
export const look = async (path: string): Promise<Looked> => {
  // A named pipe would hold an ordinary open until somebody writes.
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  try {
    const stat = await file.stat()
    const head = Buffer.alloc(4096)
    const { bytesRead } = stat.isFile() ? await file.read(head, 0, head.length, 0) : { bytesRead: 0 }
    return { bytes: stat.size, regular: stat.isFile(), sniffed: sniffBytes(head.subarray(0, bytesRead)) }
  } finally {
    await file.close()
  }
}
