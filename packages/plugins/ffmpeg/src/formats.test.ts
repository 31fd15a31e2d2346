import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { EncoderError } from "@mahalla/core/plugin"
import { turnTrack, withExif } from "@mahalla/core/testing"
import { describe, expect, it } from "vitest"
import { corners, draws, everything, field, secondOf, seconds, studio } from "./test/media.ts"
import { attempt, data, encoder, folder, npm, system } from "./test/settings.ts"

const here = folder()
const { path, draw, write, bend } = studio(here)
const tests = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-t", "2"]
const h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]

/** With `MAHALLA_SOAK=1` by both; otherwise by the older one, which has more faults. */
const soak = process.env["MAHALLA_SOAK"] === "1"
const kinds = [
  ...(system === undefined || !soak ? [] : [{ name: "ffmpeg of the system", layer: encoder(system), old: false }]),
  { name: "ffmpeg of npm", layer: encoder(npm, "dev"), old: true }
]

/** Fails the test where the call failed. */
const good = <A>(result: A | EncoderError): A => {
  if (result instanceof EncoderError) throw result
  return result
}

describe.each(kinds)("$name", ({ name, layer, old }) => {
  // The static ffprobe of npm crashes on the names of stations in a transport stream, which it converts with the machine's libraries.
  const readsTransportStreams = !old
  const out = (file: string) => path(`${name.replaceAll(" ", "-")}-${file}`)
  const copy = async (input: string, as: string) => {
    const output = out(as)
    return { output, info: good(await attempt(layer, (encoder) => encoder.transcode({ input, output }))) }
  }

  const codecs: ReadonlyArray<[file: string, codec: string, wanted: string, ...args: ReadonlyArray<string>]> = [
    ["hevc.mp4", "libx265", "hevc", "-preset", "ultrafast", "-x265-params", "log-level=none"],
    [
      "ten-bit.mp4",
      "libx265",
      "hevc",
      "-preset",
      "ultrafast",
      "-pix_fmt",
      "yuv420p10le",
      "-x265-params",
      "log-level=none"
    ],
    ["vp8.webm", "libvpx", "vp8", "-deadline", "realtime"],
    ["vp9.webm", "libvpx-vp9", "vp9", "-deadline", "realtime", "-cpu-used", "8"],
    ["mjpeg.avi", "mjpeg", "mjpeg", "-q:v", "5"],
    ["mpeg4.3gp", "mpeg4", "mpeg4"],
    ["h264.mkv", "libx264", "h264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "2"],
    ["h264.ts", "libx264", "h264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"],
    ["wmv.wmv", "wmv2", "wmv2"],
    ["flv.flv", "libx264", "h264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
  ]
  for (const [file, encoder, wanted, ...args] of codecs)
    it.skipIf(!draws(encoder) || (file.endsWith(".ts") && !readsTransportStreams))(`copies ${file}`, async () => {
      const input = draw(file, ...tests, "-c:v", encoder, ...args)
      const known = good(await attempt(layer, (one) => one.probe(input)))
      expect(known).toMatchObject({ kind: "video", width: 320, height: 240, videoCodec: wanted })
      expect(Math.abs(known.duration - 2)).toBeLessThan(0.15)
      const { output } = await copy(input, `${file}.mp4`)
      expect([field(output, "codec_name"), field(output, "pix_fmt")]).toEqual(["h264", "yuv420p"])
    })

  it("takes more pictures than one expression can name", async () => {
    const input = draw("many.mp4", ...seconds(11, 25), ...h264, "-g", "300")
    const at = Array.from({ length: 240 }, (_, n) => n * 0.04)
    const frames = good(await attempt(layer, (one) => one.frames({ input, directory: out("many"), at })))
    expect(frames.map((frame) => frame.at)).toEqual(at)
    for (const n of [0, 24, 25, 89, 90, 91, 179, 180, 239])
      expect(secondOf(frames[n]!.path), `${n}`).toBe(Math.floor(at[n]! + 0.001))
  })

  it("takes the picture that is on the screen at each moment, at an unsteady rate", async () => {
    const uneven = ["-vf", "select='lt(mod(n,75),12)+not(mod(n,10))'", "-vsync", "vfr"]
    for (const [file, ...args] of [
      ["uneven.mp4", ...h264, "-bf", "3", "-g", "50", ...uneven],
      ["uneven.mkv", ...h264, "-bf", "3", "-g", "50", ...uneven],
      ["offset.ts", ...h264, "-bf", "2", "-g", "25", "-output_ts_offset", "4000"],
      ["even.avi", "-c:v", "mjpeg", "-q:v", "2"]
    ] as const) {
      if (file.endsWith(".ts") && !readsTransportStreams) continue
      const input = draw(file, ...seconds(11, 25), ...args)
      const directory = out(`frames-${file}`)
      const at = [0, 0.5, 1.22, 3.99, 4.01, 7.7, 10.5, 2.5, 99]
      const frames = good(await attempt(layer, (one) => one.frames({ input, directory, at })))
      expect(frames.map((frame) => frame.at)).toEqual(at.slice(0, -1))
      const shown = frames.map((frame) => secondOf(frame.path))
      // 3.99 is shown by the last picture before it, which an uneven clip took at 3.6.
      expect([file, shown]).toEqual([file, [0, 0, 1, 3, 4, 7, 10, 2]])
      expect(readdirSync(directory)).toHaveLength(8)
    }
  })

  it("jumps to far moments and still takes the right pictures", async () => {
    const input = draw("long.mp4", ...seconds(11, 25), ...h264, "-g", "25")
    const at = [0.5, 5.5, 5.52, 10.5]
    const frames = good(await attempt(layer, (one) => one.frames({ input, directory: out("far"), at })))
    expect(frames.map((frame) => secondOf(frame.path))).toEqual([0, 5, 5, 10])
  })

  it("brings 60 pictures a second down to 30, and leaves 10 at 10", async () => {
    for (const [from, to] of [
      [60, "30/1"],
      [10, "10/1"]
    ] as const) {
      const input = draw(
        `fps${from}.mp4`,
        "-f",
        "lavfi",
        "-i",
        `testsrc2=size=320x240:rate=${from}`,
        "-t",
        "2",
        ...h264
      )
      expect(field((await copy(input, `fps${from}.mp4`)).output, "avg_frame_rate")).toBe(to)
    }
  })

  it("makes pixels square and sizes even", async () => {
    const stretched = draw("stretched.mp4", ...tests, "-vf", "setsar=2/1", ...h264)
    expect(good(await attempt(layer, (one) => one.probe(stretched)))).toMatchObject({ width: 640, height: 240 })
    const { output } = await copy(stretched, "stretched.mp4")
    expect([field(output, "width"), field(output, "sample_aspect_ratio")]).toEqual(["640", "1:1"])
    const [frame] = good(
      await attempt(layer, (one) => one.frames({ input: stretched, directory: out("square"), at: [0] }))
    )
    expect(field(frame?.path ?? "", "width")).toBe("640")
    const odd = draw(
      "odd.avi",
      "-f",
      "lavfi",
      "-i",
      "testsrc2=size=321x241:rate=25",
      "-t",
      "1",
      "-c:v",
      "mjpeg",
      "-pix_fmt",
      "yuvj444p"
    )
    expect((await copy(odd, "odd.mp4")).info).toMatchObject({ width: 320, height: 240 })
  })

  it("turns a lying video upright, once", async () => {
    // White on the left: on the right way up after a clockwise turn it is above.
    const half = ["-f", "lavfi", "-i", "color=white:size=160x240:rate=25,pad=320:240:0:0:black", "-t", "1", ...h264]
    const input = bend("lying.mp4", draw("half.mp4", ...half), turnTrack)
    const { output, info } = await copy(input, "upright.mp4")
    expect(info).toMatchObject({ width: 240, height: 320 })
    expect(everything(output)).not.toMatch(/rotat|displaymatrix/i)
    const looks = corners(output).map((brightness) => brightness > 128)
    expect(looks).toEqual([true, true, false, false])
  })

  it("turns a photograph upright for each of the eight orientations", async () => {
    // One white corner shows turns and mirrors.
    const plain = draw(
      "corner.jpg",
      "-f",
      "lavfi",
      "-i",
      "color=white:size=160x120,pad=320:240:0:0:black",
      "-frames:v",
      "1"
    )
    const whiteAt = ["1000", "0100", "0001", "0010", "1000", "0100", "0001", "0010"]
    for (const [index, expected] of whiteAt.entries()) {
      const input = bend(`corner${index + 1}.jpg`, plain, (jpeg) => withExif(jpeg, index + 1, ""))
      const output = out(`corner${index + 1}.jpg`)
      const info = good(await attempt(layer, (one) => one.poster({ input, output })))
      expect([info.width, info.height]).toEqual(index < 4 ? [320, 240] : [240, 320])
      const looks = corners(output).map((brightness) => (brightness > 128 ? "1" : "0"))
      expect([index + 1, looks.join("")]).toEqual([index + 1, expected])
    }
  })

  it("reads photographs in PNG, WebP, GIF and BMP", async () => {
    for (const file of ["a.png", "a.webp", "a.gif", "a.bmp"]) {
      if (file === "a.webp" && !draws("libwebp")) continue
      const input = draw(file, ...tests.slice(0, 4), "-frames:v", "1")
      const output = out(`${file}.jpg`)
      expect(good(await attempt(layer, (one) => one.poster({ input, output })))).toMatchObject({
        width: 320,
        height: 240
      })
    }
  })

  it("leaves subtitles, chapters and titles out of the copy", async () => {
    const words = write("words.srt", "1\n00:00:00,000 --> 00:00:01,000\nCall me at home\n")
    const facts = write(
      "facts.txt",
      ";FFMETADATA1\ntitle=Bought from Olim\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=1\ntitle=At the gate\n"
    )
    const told = ["-i", words, "-i", facts, "-map", "0", "-map", "1", "-map_metadata", "2", "-c:s", "mov_text"]
    const input = draw(
      "told.mp4",
      ...tests.slice(0, 4),
      ...told,
      ...h264,
      "-t",
      "2",
      "-metadata:s:v",
      "handler_name=Olim's phone"
    )
    expect(everything(input)).toMatch(/Olim/)
    const { output } = await copy(input, "silent.mp4")
    expect(everything(output)).not.toMatch(/Olim|gate|subtitle|mov_text|tx3g/)
  })

  it.skipIf(!existsSync(data))(
    "copies a recording of a street (left out where ../shared/data is missing)",
    async () => {
      const input = join(data, "video/car-detection.mp4")
      expect(good(await attempt(layer, (one) => one.probe(input)))).toEqual({
        ...{ kind: "video", container: "mp4", width: 768, height: 432, duration: 30.16, frameRate: 12.5 },
        ...{ videoCodec: "h264", audioCodec: "aac" }
      })
      const { info } = await copy(input, "street.mp4")
      expect(info).toMatchObject({ width: 768, height: 432, videoCodec: "h264", audioCodec: "aac" })
      expect(Math.abs(info.duration - 30.16)).toBeLessThan(0.2)
    }
  )
})
