/**
 * A full set of files for `encoderSuite`, drawn by ffmpeg's own test pictures and then bent by hand. Any ffmpeg since 4 with libx264 will
 * do; it need not be the one under test.
 */
import { execFile } from "node:child_process"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import type { EncoderFixtures } from "./Encoder.suite.ts"
import { withExif } from "./mediaFiles.ts"

const run = promisify(execFile)

/** Turns the picture of an MP4 file by 90° clockwise through its track's matrix, ISO 14496-12 section 8.3.2. */
export const turnTrack = (mp4: Uint8Array): Uint8Array => {
  const file = Buffer.from(mp4)
  const matrix = file.indexOf("tkhd") + 44
  const values = [0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000]
  values.forEach((value, index) => file.writeInt32BE(value, matrix + 4 * index))
  return file
}

/** A JPEG whose header claims another size. */
export const claimSize = (jpeg: Uint8Array, width: number, height: number): Uint8Array => {
  const file = Buffer.from(jpeg)
  const frame = file.indexOf(Buffer.from([0xff, 0xc0]))
  file.writeUInt16BE(height, frame + 5)
  file.writeUInt16BE(width, frame + 7)
  return file
}

export interface FixtureOptions {
  /** Program that draws them. */
  readonly ffmpeg: string
  /** An existing folder; the caller removes it. */
  readonly directory: string
}

export const encoderFixtures = async ({ ffmpeg, directory }: FixtureOptions): Promise<EncoderFixtures> => {
  const secret = "+41.3111+069.2797/"
  const at = (name: string) => join(directory, name)
  const draw = async (name: string, ...args: ReadonlyArray<string>) => {
    await run(ffmpeg, ["-v", "error", "-nostdin", "-y", ...args, at(name)])
    return at(name)
  }
  const bend = async (name: string, from: string, change: (bytes: Buffer) => Uint8Array) => {
    await writeFile(at(name), change(await readFile(from)))
    return at(name)
  }
  const write = async (name: string, text: string) => {
    await writeFile(at(name), text)
    return at(name)
  }
  const picture = (width: number, height: number, rate: number) => [
    ...["-f", "lavfi", "-i", `testsrc2=size=${width}x${height}:rate=${rate}`]
  ]
  const tone = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]
  const h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
  const small = { width: 640, height: 360, duration: 5, frameRate: 25 }
  const big = { width: 1440, height: 960, duration: 5, frameRate: 25 }
  const codecs = { videoCodec: "h264", audioCodec: "aac" }

  const clip = await draw("clip.mp4", ...picture(640, 360, 25), ...tone, "-t", "5", ...h264)
  const large = await draw(
    "large.mp4",
    ...[...picture(1440, 960, 25), ...tone, "-t", "5", ...h264],
    ...["-metadata", `comment=${secret}`, "-metadata", `location=${secret}`]
  )
  // Every picture by itself and of even size, so that half of the bytes are half of the time.
  const even = await draw(
    "even.mp4",
    ...picture(640, 360, 25),
    ...["-t", "8", ...h264, "-g", "1", "-movflags", "+faststart"]
  )
  const plain = await draw("plain.jpg", ...picture(1600, 1200, 1), "-frames:v", "1")
  return {
    secret,
    clip: { path: clip, ...small, ...codecs },
    large: { path: large, ...big, ...codecs },
    turnedClip: { path: await bend("turned.mp4", clip, turnTrack), width: 360, height: 640 },
    photo: { path: await bend("photo.jpg", plain, (jpeg) => withExif(jpeg, 1, secret)), width: 1600, height: 1200 },
    turnedPhoto: { path: await bend("turned.jpg", plain, (jpeg) => withExif(jpeg, 6, "")), width: 1200, height: 1600 },
    sound: await draw("sound.m4a", ...tone, "-t", "3", "-c:a", "aac"),
    text: await write("notes.mp4", "Dear city, there is a hole in our street.\n"),
    empty: await write("empty.mp4", ""),
    playlist: await write(
      "playlist.mp4",
      `#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://${clip}\n#EXT-X-ENDLIST\n`
    ),
    headless: await bend("headless.mp4", clip, (bytes) => bytes.subarray(0, bytes.indexOf("moov") - 1000)),
    cut: {
      path: await bend("cut.mp4", even, (bytes) => bytes.subarray(0, (bytes.indexOf("mdat") + bytes.length) / 2)),
      duration: 4
    },
    bomb: await bend("bomb.jpg", plain, (jpeg) => claimSize(jpeg, 60_000, 60_000))
  }
}
