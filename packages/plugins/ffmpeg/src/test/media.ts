/**
 * Odd files and looks at outputs, for the tests of this plugin.
 */
import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { drawing, programs } from "./settings.ts"

const run = (program: string, args: ReadonlyArray<string>) =>
  execFileSync(program, ["-v", "error", ...args], { maxBuffer: 64 * 1024 * 1024, stdio: ["ignore", "pipe", "ignore"] })

/** Makes files in `directory` with ffmpeg. */
export const studio = (directory: string) => {
  const path = (name: string) => join(directory, name)
  return {
    path,
    draw: (name: string, ...args: ReadonlyArray<string>) => {
      run(drawing, ["-nostdin", "-y", ...args, path(name)])
      return path(name)
    },
    write: (name: string, bytes: Uint8Array | string) => {
      writeFileSync(path(name), bytes)
      return path(name)
    },
    bend: (name: string, from: string, change: (bytes: Buffer) => Uint8Array) => {
      writeFileSync(path(name), change(readFileSync(from)))
      return path(name)
    }
  }
}

/** Whether the ffmpeg that draws has an encoder. */
export const draws = (encoder: string) => run(drawing, ["-hide_banner", "-encoders"]).includes(` ${encoder} `)

/** A clip whose brightness tells the second: 20 × seconds. */
export const seconds = (length: number, rate: number, size = "160x120") => [
  ...[
    "-f",
    "lavfi",
    "-i",
    `color=black:size=${size}:rate=${rate},format=yuv420p,geq=lum='20+20*floor(T)':cb=128:cr=128`
  ],
  ...["-t", String(length)]
]

/** The second that a picture of such a clip comes from. */
export const secondOf = (picture: string) => {
  const [brightness = 0] = run(drawing, [
    ...["-i", picture, "-vf", "scale=1:1:out_range=tv,format=gray", "-frames:v", "1", "-f", "rawvideo", "-"]
  ])
  // JPEG spreads 16–235 over 0–255; either way the nearest step is the second.
  return Math.round(brightness / 20 - 1)
}

/** Average colour of the left upper, right upper, left lower and right lower quarter, to see which way up a picture is. */
export const corners = (picture: string) => [
  ...run(drawing, [
    "-noautorotate",
    "-i",
    picture,
    "-vf",
    "scale=2:2:flags=area,format=gray",
    "-frames:v",
    "1",
    "-f",
    "rawvideo",
    "-"
  ])
]

/** Average brightness of a part of a picture, 0–255. */
export const brightness = (picture: string, box: { x: number; y: number; width: number; height: number }) =>
  run(drawing, [
    ...["-noautorotate", "-i", picture, "-vf"],
    `crop=${box.width}:${box.height}:${box.x}:${box.y},scale=1:1:flags=area,format=gray`,
    ...["-frames:v", "1", "-f", "rawvideo", "-"]
  ])[0] ?? Number.NaN

const { ffprobe } = programs

/** One field of the first video stream, as ffprobe writes it. */
export const field = (path: string, name: string, stream = "v:0") =>
  run(ffprobe, ["-select_streams", stream, "-show_entries", `stream=${name}`, "-of", "csv=p=0", path])
    .toString()
    .trim()

/** Everything that ffprobe knows about a file, as one text. */
export const everything = (path: string) =>
  run(ffprobe, ["-show_format", "-show_streams", "-show_chapters", "-of", "json", path]).toString()
