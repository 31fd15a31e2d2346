import { execFileSync } from "node:child_process"
import { mkdirSync, readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { EncoderError, type EncoderReason } from "@mahalla/core/plugin"
import { claimSize } from "@mahalla/core/testing"
import { describe, expect, it } from "vitest"
import { studio } from "./test/media.ts"
import { attempt, encoder, folder, programs } from "./test/settings.ts"

const here = folder()
const { path, draw, write, bend } = studio(here)
const layer = encoder(programs)

const clip = draw(
  "clip.mp4",
  ...["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-t", "3", "-c:v", "libx264", "-preset", "ultrafast"],
  ...["-pix_fmt", "yuv420p"]
)
const picture = draw("picture.jpg", "-f", "lavfi", "-i", "testsrc2=size=320x240", "-frames:v", "1")

/** Every method refuses the file for that reason and leaves nothing. */
const refused = async (input: string, reason: EncoderReason, use = layer) => {
  const at = path(`out-${Math.random()}`)
  mkdirSync(at)
  for (const result of [
    await attempt(use, (one) => one.probe(input)),
    await attempt(use, (one) => one.transcode({ input, output: join(at, "copy.mp4") })),
    await attempt(use, (one) => one.poster({ input, output: join(at, "poster.jpg") })),
    await attempt(use, (one) => one.frames({ input, directory: at, at: [0] }))
  ]) {
    expect(result).toBeInstanceOf(EncoderError)
    expect([(result as EncoderError).reason, (result as EncoderError).message]).toEqual([reason, expect.any(String)])
  }
  expect(readdirSync(at)).toEqual([])
}

describe("files that point elsewhere", () => {
  const texts: Record<string, string> = {
    "hls.mp4": `#EXTM3U\n#EXTINF:5,\nfile://${clip}\n#EXT-X-ENDLIST\n`,
    "bom.mp4": `\u00ef\u00bb\u00bf\r\n#EXTM3U\r\nhttp://127.0.0.1:9/x.ts\r\n`,
    "concat.mov": `ffconcat version 1.0\nfile '${clip}'\n`,
    "dash.mp4": `<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>${clip}</BaseURL></MPD>\n`,
    "list.mkv": `[playlist]\nFile1=${clip}\n`,
    "session.mp4": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n",
    "address.mp4": "http://127.0.0.1:9/video.mp4\n"
  }
  for (const [name, text] of Object.entries(texts))
    it(`refuses ${name}`, () => refused(write(name, Buffer.from(text, "latin1")), "Refused"))

  it("refuses a QuickTime track whose samples are in another file", async () => {
    // An alias record (Inside Macintosh: Files) in place of "the data is in this file"; ffmpeg follows only such references.
    const name = Buffer.from(clip.length % 2 === 0 ? clip : `/${clip}`)
    const absolutePath = Buffer.concat([Buffer.from([0, 2, 0, name.length]), name, Buffer.from([255, 255, 0, 0])])
    const alias = Buffer.concat([Buffer.alloc(162), absolutePath])
    alias.writeUInt32BE(alias.length, 0)
    alias.write("alis", 4, "latin1")
    const input = bend("alias.mov", clip, (bytes) => {
      const at = bytes.indexOf("url ", bytes.indexOf("dref")) - 4
      const grown = Buffer.concat([bytes.subarray(0, at), alias, bytes.subarray(at + 12)])
      for (const name of ["dref", "dinf", "minf", "mdia", "trak", "moov"]) {
        const size = bytes.lastIndexOf(name, at) - 4
        grown.writeUInt32BE(bytes.readUInt32BE(size) + alias.length - 12, size)
      }
      return grown
    })
    expect(readFileSync(input).indexOf("moov")).toBeGreaterThan(readFileSync(input).indexOf("mdat"))
    await refused(input, "Refused")
  })
})

describe("files that are not what they seem", () => {
  it("calls a web page, an archive and a cut-off header no media, whatever the name", async () => {
    await refused(write("page.mp4", "<!doctype html><script>alert(1)</script>"), "NotMedia")
    await refused(write("archive.mp4", Buffer.from("504b0304140000000800", "hex")), "NotMedia")
    await refused(
      bend("header.mp4", clip, (bytes) => bytes.subarray(0, 40)),
      "NotMedia"
    )
    await refused(
      bend("noise.mp4", clip, (bytes) => bytes.fill(7, bytes.indexOf("avcC"))),
      "NotMedia"
    )
  })

  it("goes by the content where the name lies", async () => {
    const input = bend("really.mp4", picture, (bytes) => bytes)
    expect(await attempt(layer, (one) => one.probe(input))).toMatchObject({ kind: "image", container: "jpeg" })
  })

  it("lets a second nature behind a video or picture stay behind", async () => {
    const both = bend("both.mp4", clip, (bytes) => Buffer.concat([bytes, Buffer.from("PK\u0003\u0004evil.exe")]))
    const page = bend("page.jpg", picture, (bytes) => Buffer.concat([bytes, Buffer.from("<script>evil()</script>")]))
    await attempt(layer, (one) => one.transcode({ input: both, output: path("both-copy.mp4") }))
    await attempt(layer, (one) => one.poster({ input: page, output: path("page-copy.jpg") }))
    for (const made of ["both-copy.mp4", "page-copy.jpg"]) expect(readFileSync(path(made)).includes("evil")).toBe(false)
  })

  it("says how to send a picture that it cannot read", async () => {
    const input = write("live.heic", Buffer.from("\0\0\0\u0018ftypheic\0\0\0\0mif1heic", "latin1"))
    const error = await attempt(layer, (one) => one.probe(input))
    expect(error).toMatchObject({ reason: "NotMedia", message: expect.stringContaining("JPEG") as string })
  })

  it("names a codec that it does not accept", async () => {
    const input = draw("rare.mkv", "-i", clip, "-c:v", "ffv1")
    expect(await attempt(layer, (one) => one.probe(input))).toMatchObject({
      reason: "NotMedia",
      message: expect.stringContaining("ffv1") as string
    })
  })

  it("does not wait at a named pipe, and takes neither folders nor holes", async () => {
    execFileSync("mkfifo", [path("pipe.mp4")])
    await refused(path("pipe.mp4"), "NotMedia")
    await refused(here, "NotMedia")
    await refused(path("nowhere.mp4"), "NotMedia")
  })

  it("finds no video in a song with a cover", async () => {
    const cover = [
      "-i",
      picture,
      "-f",
      "lavfi",
      "-i",
      "sine",
      "-map",
      "1",
      "-map",
      "0",
      "-t",
      "2",
      "-c:a",
      "aac",
      "-c:v",
      "copy"
    ]
    await refused(draw("song.m4a", ...cover, "-disposition:v", "attached_pic", "-f", "mp4"), "NoVideo")
    await refused(draw("song.wav", "-f", "lavfi", "-i", "sine", "-t", "1"), "NoVideo")
    await refused(draw("song.ogg", "-f", "lavfi", "-i", "sine", "-t", "1", "-c:a", "flac"), "NoVideo")
  })
})

describe("files made to exhaust the machine", () => {
  it("refuses headers that claim too many pixels", async () => {
    await refused(
      bend("bomb.jpg", picture, (bytes) => claimSize(bytes, 65_000, 65_000)),
      "TooLarge"
    )
    const png = draw("small.png", "-i", picture)
    await refused(
      bend("bomb.png", png, (bytes) => {
        bytes.writeUInt32BE(50_000, 16)
        bytes.writeUInt32BE(50_000, 20)
        const body = bytes.subarray(12, 29)
        bytes.writeUInt32BE(crc(body), 29)
        return bytes
      }),
      "TooLarge"
    )
    // VP8 writes the size into each key picture, behind its start code: RFC 6386 section 9.1.
    const vp8 = draw("small.webm", "-i", clip, "-c:v", "libvpx", "-deadline", "realtime")
    const claims = bend("bomb.webm", vp8, (bytes) => {
      const start = Buffer.from([0x9d, 0x01, 0x2a])
      for (let at = bytes.indexOf(start); at > 0; at = bytes.indexOf(start, at + 1))
        bytes.writeUInt32LE(0x3fff3fff, at + 3)
      return bytes
    })
    await refused(claims, "TooLarge")
  })

  it("refuses what is too long, too heavy, or needs too much memory", async () => {
    const limited = (limits: object) => encoder({ ...programs, limits })
    await refused(clip, "TooLarge", limited({ seconds: 2 }))
    await refused(clip, "TooLarge", limited({ bytes: 1000 }))
    const output = path("too-big.mp4")
    const big = await attempt(limited({ output: 20_000 }), (one) => one.transcode({ input: clip, output }))
    expect(big).toMatchObject({ reason: "TooLarge" })
    const wide = draw(
      "wide.png",
      "-f",
      "lavfi",
      "-i",
      "color=red:size=9000x7000",
      "-frames:v",
      "1",
      "-pix_fmt",
      "rgb48be"
    )
    const poster = path("wide.jpg")
    const heavy = await attempt(limited({ memory: 500_000_000 }), (one) => one.poster({ input: wide, output: poster }))
    expect(heavy).toMatchObject({ reason: "TooLarge", message: expect.stringContaining("memory") as string })
    const many = await attempt(limited({ frames: 2 }), (one) =>
      one.frames({ input: clip, directory: here, at: [0, 1, 2] })
    )
    expect(many).toMatchObject({ reason: "TooLarge" })
    expect(readdirSync(here).filter((name) => name.startsWith(".encoding") || name === "too-big.mp4")).toEqual([])
  })

  it("goes by the pictures where the header claims another length", async () => {
    const input = bend("eternal.mp4", clip, (bytes) => {
      bytes.writeUInt32BE(0xffffff00, bytes.indexOf("mvhd") + 20)
      return bytes
    })
    const result = await attempt(layer, (one) => one.probe(input))
    expect(result).toMatchObject({ duration: 3 })
  })
})

/** CRC-32 of PNG chunks. */
const crc = (bytes: Uint8Array) => {
  let value = ~0
  for (const byte of bytes) {
    value ^= byte
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (0xedb88320 & -(value & 1))
  }
  return ~value >>> 0
}
