/**
 * What is blurred is gone where and while it was asked for, and nowhere else.
 */
import { join } from "node:path"
import { withExif } from "@mahalla/core/testing"
import { describe, expect, it } from "vitest"
import { brightness, studio } from "./test/media.ts"
import { attempt, encoder, folder, programs } from "./test/settings.ts"

const at = folder()
const media = studio(at)
const layer = encoder(programs)

/** White squares on black: the one is hidden, the other stays. */
const hidden = { x: 400, y: 100, width: 80, height: 80 }
const open = { x: 100, y: 300, width: 80, height: 80 }
const square = ({ x, y, width, height }: typeof open, when = "") =>
  `drawbox=x=${x}:y=${y}:w=${width}:h=${height}:color=white:t=fill${when}`
const black = (seconds: number) => ["-f", "lavfi", "-i", `color=black:size=640x480:rate=25:duration=${seconds}`]
/** As a detector's box with a margin. */
const around = (box: typeof open) => ({ x: box.x - 20, y: box.y - 20, width: box.width + 40, height: box.height + 40 })

const looks = (picture: string) => [brightness(picture, hidden) > 128, brightness(picture, open) > 128]

describe("a blurred region", () => {
  it("is gone from a photograph, and nothing else is", async () => {
    const input = media.draw("squares.png", ...black(1), "-vf", `${square(hidden)},${square(open)}`, "-frames:v", "1")
    const output = join(at, "poster.jpg")
    await attempt(layer, (encoder) => encoder.poster({ input, output }))
    expect(looks(output)).toEqual([true, true])
    await attempt(layer, (encoder) => encoder.poster({ input, output, blur: [{ box: around(hidden) }] }))
    expect(looks(output)).toEqual([false, true])
  })

  it("lies where the picture is seen, not where it is stored", async () => {
    // Stored lying: what is seen at (x, y) stands in the file at (y, height - x).
    const stored = ({ x, y, width, height }: typeof open) => ({
      x: y,
      y: 640 - x - width,
      width: height,
      height: width
    })
    const plain = media.draw(
      "lying.jpg",
      ...["-f", "lavfi", "-i", "color=black:size=480x640:rate=1:duration=1"],
      ...["-vf", `${square(stored(hidden))},${square(stored(open))}`, "-frames:v", "1"]
    )
    const input = media.bend("turned.jpg", plain, (bytes) => withExif(bytes, 6, ""))
    const [frame] = (await attempt(layer, (encoder) =>
      encoder.frames({ input, directory: join(at, "turned"), at: [0], blur: [{ box: around(hidden) }] })
    )) as ReadonlyArray<{ path: string }>
    expect(looks(frame!.path)).toEqual([false, true])
  })

  it("lasts as long as it was asked for, though the sound begins before the picture", async () => {
    const when = ":enable='between(t,2.5,3.5)'"
    const input = media.draw(
      "late.mkv",
      ...["-f", "lavfi", "-i", "sine=duration=5", "-itsoffset", "1.5", ...black(4)],
      ...[
        "-map",
        "1:v",
        "-map",
        "0:a",
        "-vf",
        `${square(hidden, when)},${square(open)}`,
        "-c:v",
        "libx264",
        "-c:a",
        "aac"
      ]
    )
    const blur = [{ box: around(hidden), from: 1, to: 2 }]
    const output = join(at, "late.mp4")
    await attempt(layer, (encoder) => encoder.transcode({ input, output, blur }))
    const moments = [0.5, 1.1, 1.5, 1.9, 2.5]
    const framesOf = async (path: string, more: object) =>
      (await attempt(layer, (encoder) =>
        encoder.frames({ input: path, directory: join(at, `${++calls}`), at: moments, ...more })
      )) as ReadonlyArray<{ path: string }>
    let calls = 0
    for (const frames of [await framesOf(output, {}), await framesOf(input, { blur })])
      expect(frames.map(({ path }) => looks(path))).toEqual(moments.map(() => [false, true]))
    // Without it the square is there to be seen.
    const unblurred = await framesOf(input, {})
    expect(unblurred.map(({ path }) => looks(path)[0])).toEqual([false, true, true, true, false])
  })
})
