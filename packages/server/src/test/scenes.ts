/** Pictures and films with two plates in them, drawn from photographs of cars: one of the report's vehicle, one of somebody else's. */
import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { ensureProgram } from "../../../../scripts/services/debian.ts"

const run = promisify(execFile)

interface Scene {
  /** Folder of the photographs `eu8.jpg` and `test_021.jpg`. */
  readonly photographs: string
  readonly output: string
}

export const plateOf = { own: "WSQ3021", foreign: "RK855AP" } as const

const inputs = ({ photographs }: Scene, ...more: ReadonlyArray<string>) => [
  ...["-v", "error", "-nostdin", "-y", "-f", "lavfi", ...more, "-i", "color=0x808080:s=1280x720:r=25"],
  ...["-loop", "1", ...more, "-i", join(photographs, "eu8.jpg")],
  ...["-loop", "1", ...more, "-i", join(photographs, "test_021.jpg")]
]

/** Both vehicles beside each other, 1280×720. */
export const twoVehicles = async (scene: Scene): Promise<Uint8Array> => {
  const filter =
    "[1]scale=640:-2[own];[2]scale=640:-2[other];[0][own]overlay=x=0:y=40[one];[one][other]overlay=x=640:y=0"
  await run(await ensureProgram("ffmpeg"), [
    ...inputs(scene),
    "-filter_complex",
    filter,
    "-frames:v",
    "1",
    scene.output
  ])
  return readFile(scene.output)
}
/** Where the characters of the plates are in it. */
export const boxOf = {
  own: { x: 229, y: 385, width: 133, height: 31 },
  foreign: { x: 881, y: 337, width: 155, height: 32 }
} as const

/** The vehicle of the report stands; the other one drives past it from left to right, every three seconds. 1280×720. */
export const passingVehicle = async (scene: Scene & { readonly seconds: number }): Promise<Uint8Array> => {
  const filter =
    "[1]scale=560:-2[own];[2]scale=640:-2[other];[0][own]overlay=x=360:y=300[one];" +
    "[one][other]overlay=x='-640+1920*mod(t,3)/3':y=0"
  await run(await ensureProgram("ffmpeg"), [
    ...inputs(scene, "-t", String(scene.seconds)),
    ...["-filter_complex", filter, "-t", String(scene.seconds), "-c:v", "libx264", "-preset", "veryfast", "-crf", "18"],
    ...["-pix_fmt", "yuv420p", "-movflags", "+faststart", scene.output]
  ])
  return readFile(scene.output)
}

interface Part {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** How many strokes there are in a part of a picture: the mean square by which a pixel differs from those right of it and below. */
export const strokesIn = async (path: string, { height, width, x, y }: Part): Promise<number> => {
  const { stdout: grey } = await run(
    await ensureProgram("ffmpeg"),
    [
      ...["-v", "error", "-nostdin", "-i", path, "-vf", `crop=${width}:${height}:${x}:${y}:exact=1,format=gray`],
      ...["-f", "rawvideo", "-"]
    ],
    { encoding: "buffer" }
  )
  let sum = 0
  for (let row = 0; row + 1 < height; row++)
    for (let at = row * width; at + 1 < (row + 1) * width; at++)
      sum += (grey[at]! - grey[at + 1]!) ** 2 + (grey[at]! - grey[at + width]!) ** 2
  return sum / grey.length
}
