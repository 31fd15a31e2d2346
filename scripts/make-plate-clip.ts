/**
 * Makes a video in which licence plates can be read: a camera wandering over photographs of cars, each for some seconds. For the demo
 * and for tests that follow a report from the recording to the finding; it says which plate should be readable when.
 *
 * node scripts/make-plate-clip.ts clip.mp4 --seconds 15
 */
import { execFile } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { delimiter, join, resolve } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { parseArgs, promisify } from "node:util"

const root = fileURLToPath(new URL("..", import.meta.url))

export interface PlateClipOptions {
  readonly output: string
  /** Default 15. Each photograph stays for at least 2 seconds. */
  readonly seconds?: number
  /** Folder with `NAME.jpg` and `NAME.txt` (file, x, y, width, height, text). Default `../shared/data/plates-eu`. */
  readonly photographs?: string
  /** Which of them, in order. Default: a handful with large, clean plates. */
  readonly names?: ReadonlyArray<string>
  /** Default: the one on PATH, else the one that `@mahalla/ffmpeg` falls back to. */
  readonly ffmpeg?: string
}

export interface PlateClip {
  readonly path: string
  readonly seconds: number
  readonly width: number
  readonly height: number
  /** Seconds from the start; while it lasts the whole plate is in the picture. */
  readonly plates: ReadonlyArray<{ readonly text: string; readonly from: number; readonly to: number }>
}

const picture = { width: 1280, height: 720 }
/** How far the camera wanders, in pixels of the video. */
const way = { x: 120, y: 60 }
/** Free room that a plate keeps to the border. */
const margin = 24
const clean = ["eu8", "test_021", "test_001", "test_089", "test_027", "test_091"]

const findFfmpeg = () => {
  const onPath = (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, "ffmpeg"))
  const plugin = createRequire(join(root, "packages/plugins/ffmpeg/package.json"))
  return onPath.find(existsSync) ?? (plugin("@ffmpeg-installer/ffmpeg") as { readonly path: string }).path
}

/** Width and height out of a JPEG's frame header. */
const jpegSize = (path: string) => {
  const file = readFileSync(path)
  for (let at = 2; at + 9 < file.length; at += 2 + file.readUInt16BE(at + 2)) {
    const marker = file.readUInt16BE(at)
    if (marker >= 0xffc0 && marker <= 0xffc2)
      return { width: file.readUInt16BE(at + 7), height: file.readUInt16BE(at + 5) }
  }
  throw new Error(`${path} is no JPEG with a frame header.`)
}

const clamp = (value: number, least: number, most: number) => Math.round(Math.max(least, Math.min(most, value)))

/** One photograph as ffmpeg's filters: enlarged to more than the picture, then a window moving over it that never loses the plate. */
const wander = (photographs: string, name: string, seconds: number, index: number) => {
  const path = join(photographs, `${name}.jpg`)
  const fields = readFileSync(join(photographs, `${name}.txt`), "utf8")
    .trim()
    .split("\t")
  const [x = 0, y = 0, width = 0, height = 0] = fields.slice(1, 5).map(Number)
  const size = jpegSize(path)
  const scale = Math.max((picture.width + way.x) / size.width, (picture.height + way.y) / size.height)
  const along = (length: number, window: number, start: number, extent: number, distance: number) => {
    const most = Math.ceil(length * scale) - window
    const keeps = { least: (start + extent) * scale + margin - window, most: start * scale - margin }
    const middle = (start + extent / 2) * scale - window / 2
    const at = (offset: number) => clamp(clamp(middle + offset, keeps.least, keeps.most), 0, most)
    return [at(-distance / 2), at(distance / 2)] as const
  }
  const [fromX, toX] = along(size.width, picture.width, x, width, way.x)
  const [fromY, toY] = along(size.height, picture.height, y, height, way.y)
  const scaled = `${Math.ceil(size.width * scale)}:${Math.ceil(size.height * scale)}`
  const moving = (from: number, to: number) => `'${from}+(${to - from})*t/${seconds}'`
  const window = `crop=${picture.width}:${picture.height}:x=${moving(fromX, toX)}:y=${moving(fromY, toY)}`
  return {
    text: fields.at(-1) ?? "",
    input: ["-loop", "1", "-framerate", "25", "-t", String(seconds), "-i", path],
    filter: `[${index}:v]scale=${scaled}:flags=lanczos,setsar=1,${window},format=yuv420p[v${index}]`
  }
}

export const makePlateClip = async (options: PlateClipOptions): Promise<PlateClip> => {
  const photographs = options.photographs ?? join(root, "../shared/data/plates-eu")
  if (!existsSync(photographs)) throw new Error(`The photographs are missing: ${photographs}.`)
  const seconds = options.seconds ?? 15
  const names = (options.names ?? clean).slice(0, Math.max(1, Math.floor(seconds / 2)))
  const each = seconds / names.length
  const parts = names.map((name, index) => wander(photographs, name, each, index))
  const joined = `${parts.map((_, index) => `[v${index}]`).join("")}concat=n=${parts.length}:v=1:a=0[v]`
  const sound = ["-f", "lavfi", "-t", String(seconds), "-i", "anullsrc=channel_layout=mono:sample_rate=48000"]
  await promisify(execFile)(options.ffmpeg ?? findFfmpeg(), [
    ...["-v", "error", "-nostdin", "-y", ...parts.flatMap((part) => part.input), ...sound],
    ...["-filter_complex", [...parts.map((part) => part.filter), joined].join(";")],
    ...["-map", "[v]", "-map", `${parts.length}:a`, "-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-g", "50"],
    ...["-c:a", "aac", "-b:a", "64k", "-movflags", "+faststart", "-f", "mp4", resolve(options.output)]
  ])
  const plates = parts.map(({ text }, index) => ({ text, from: index * each, to: (index + 1) * each }))
  return { path: resolve(options.output), seconds, ...picture, plates }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: { seconds: { type: "string" } } })
  const [output] = positionals
  if (output === undefined) {
    console.error("Where to? node scripts/make-plate-clip.ts clip.mp4 --seconds 15")
    process.exit(2)
  }
  const clip = await makePlateClip({
    output,
    ...(values.seconds === undefined ? {} : { seconds: Number(values.seconds) })
  })
  console.log(JSON.stringify(clip, undefined, 2))
}
