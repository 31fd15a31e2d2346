import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Detector } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import sharp from "sharp"
import { afterAll, describe, expect, it } from "vitest"
import { fold } from "./grammar.ts"
import { plates } from "./index.ts"
import { provided } from "./test/layer.ts"

const photos = join(import.meta.dirname, "../../../../../shared/data/plates-eu")
const folder = mkdtempSync(join(tmpdir(), "mahalla-plates-photos-"))
const runtime = ManagedRuntime.make(provided(plates({ countries: ["SK", "CZ", "PL", "DE"] })))
afterAll(async () => {
  await runtime.dispose()
  rmSync(folder, { recursive: true, force: true })
})

const detect = (...paths: ReadonlyArray<string>) =>
  runtime.runPromise(
    Effect.flatMap(Detector, (detector) => detector.detect({ frames: paths.map((path) => ({ path })) }))
  )
const refused = (path: string) =>
  runtime.runPromise(Effect.flatMap(Detector, (detector) => Effect.flip(detector.detect({ frames: [{ path }] }))))
const texts = async (path: string) =>
  (await detect(path)).filter((one) => one.certain).map((one) => fold(one.text ?? ""))

const missing = !existsSync(photos)
if (missing) console.info(`left out: the photographs of ../shared/data/plates-eu are not at ${photos}`)

describe.skipIf(missing)("plates in real photographs", () => {
  const truth = (name: string) => {
    const [, x, y, width, height, text] = readFileSync(join(photos, name.replace(".jpg", ".txt")), "utf8")
      .trim()
      .split("\t")
    return { box: { x: Number(x), y: Number(y), width: Number(width), height: Number(height) }, text: fold(text ?? "") }
  }
  const easy = ["eu8.jpg", "test_001.jpg", "test_009.jpg", "test_023.jpg", "test_033.jpg"]

  it.each(easy)("%s is read exactly, where it is", async (name) => {
    const found = (await detect(join(photos, name)))[0]!
    const { box, text } = truth(name)
    expect(found).toMatchObject({ certain: true, frame: 0, kind: "plate" })
    expect(fold(found.text ?? "")).toBe(text)
    const middle = [found.box.x + found.box.width / 2, found.box.y + found.box.height / 2] as const
    expect(middle[0]).toBeGreaterThan(box.x)
    expect(middle[0]).toBeLessThan(box.x + box.width)
    expect(middle[1]).toBeGreaterThan(box.y)
    expect(middle[1]).toBeLessThan(box.y + box.height)
  })

  it("keeps the place of a plate that it cannot read, so that it can be hidden", async () => {
    const { box } = truth("test_081.jpg")
    const found = (await detect(join(photos, "test_081.jpg"))).filter((one) => {
      const middle = { x: one.box.x + one.box.width / 2, y: one.box.y + one.box.height / 2 }
      return middle.x > box.x && middle.x < box.x + box.width && middle.y > box.y && middle.y < box.y + box.height
    })
    expect(found).toHaveLength(1)
    expect(found[0]).toMatchObject({ kind: "plate", certain: false })
    expect(found[0]).not.toHaveProperty("text")
  })

  it("never guesses: the worse the picture, the fewer certain readings, and none of them wrong", async () => {
    const names = readdirSync(photos)
      .filter((name) => name.endsWith(".jpg"))
      .sort()
      .filter((_, i) => i < 27 && i % 3 === 0)
    const path = join(folder, "worse.jpg")
    const counts = []
    for (const blur of [1.6, 4]) {
      let right = 0
      for (const name of names) {
        writeFileSync(path, await sharp(join(photos, name)).blur(blur).jpeg({ quality: 60 }).toBuffer())
        const read = await texts(path)
        expect(
          read.filter((text) => text !== truth(name).text),
          `${name} blurred by ${blur}`
        ).toEqual([])
        right += read.length
      }
      counts.push(right)
    }
    expect(counts[1]).toBe(0)
  })

  it("reads a photograph that the camera stored lying on its side, with boxes as it is displayed", async () => {
    const upright = join(photos, "test_001.jpg")
    const path = join(folder, "side.jpg")
    writeFileSync(
      path,
      await sharp(upright).rotate(-90).withMetadata({ orientation: 6 }).jpeg({ quality: 95 }).toBuffer()
    )
    const [asIs] = await detect(upright)
    const [turned] = await detect(path)
    expect(turned!.text).toBe(asIs!.text)
    expect(Math.abs(turned!.box.x - asIs!.box.x)).toBeLessThan(6)
    expect(Math.abs(turned!.box.y - asIs!.box.y)).toBeLessThan(6)
  })

  it("refuses a photograph of which the end is missing, without its path in the message", async () => {
    const whole = readFileSync(join(photos, "test_001.jpg"))
    const path = join(folder, "cut.jpg")
    writeFileSync(path, whole.subarray(0, whole.length >> 1))
    const error = await refused(path)
    expect(error).toMatchObject({ reason: "NotMedia", subject: "cut.jpg", retryable: false })
    expect(error.message).not.toContain(folder)
  })
})

describe("files that are no photographs", () => {
  it.each([
    ["drawing.jpg", `<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>`],
    ["header.jpg", Buffer.from([0xff, 0xd8, 0xff])],
    ["header.png", Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])]
  ])("%s is refused as NotMedia", async (name, content) => {
    writeFileSync(join(folder, name), content)
    expect(await refused(join(folder, name))).toMatchObject({ reason: "NotMedia", subject: name })
  })

  it("a folder is refused as NotMedia", async () => {
    expect(await refused(folder)).toMatchObject({ reason: "NotMedia" })
  })
})
