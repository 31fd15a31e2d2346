import { mkdtempSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { Detector, type Finding } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import sharp from "sharp"
import { afterAll, expect, it } from "vitest"
import { plates } from "./index.ts"
import { provided } from "./test/layer.ts"

/** Photographs of people that come with the weights. */
const people = join(dirname(createRequire(import.meta.url).resolve("@vladmandic/face-api/package.json")), "demo")
const folder = mkdtempSync(join(tmpdir(), "mahalla-faces-"))
const runtime = ManagedRuntime.make(provided(plates({})))
afterAll(async () => {
  await runtime.dispose()
  rmSync(folder, { recursive: true, force: true })
})
const faces = async (path: string): Promise<ReadonlyArray<Finding>> =>
  (await runtime.runPromise(Effect.flatMap(Detector, (detector) => detector.detect({ frames: [{ path }] })))).filter(
    ({ kind }) => kind === "face"
  )
const middle = ({ box }: Finding) => [box.x + box.width / 2, box.y + box.height / 2] as const

/** Where the middles of faces are that look towards the camera, as parts of the picture. */
const looking: ReadonlyArray<readonly [string, ReadonlyArray<readonly [number, number]>]> = [
  [
    "sample1.jpg",
    [
      [0.26, 0.4],
      [0.49, 0.44],
      [0.81, 0.28]
    ]
  ],
  [
    "sample2.jpg",
    [
      [0.5, 0.28],
      [0.8, 0.22]
    ]
  ]
]
it.each(looking)("finds those who look towards the camera in %s", async (name, places) => {
  const path = join(people, name)
  const { height, width } = await sharp(path).metadata()
  const found = await faces(path)
  for (const [x, y] of places)
    expect(
      found.some((face) => {
        const [across, down] = middle(face)
        return Math.abs(across / width - x) < 0.06 && Math.abs(down / height - y) < 0.08
      })
    ).toBe(true)
})

it("finds small ones, and says where they are as the picture is displayed", async () => {
  const path = join(people, "sample1.jpg")
  const small = await sharp(path).resize(640).toBuffer()
  const canvas = { width: 1920, height: 1080, channels: 3, background: "#777777" } as const
  const upright = join(folder, "upright.jpg")
  await sharp({ create: canvas })
    .composite([{ input: small, left: 1100, top: 300 }])
    .jpeg()
    .toFile(upright)
  const lying = join(folder, "lying.jpg")
  await sharp(upright).rotate(-90).withMetadata({ orientation: 6 }).jpeg().toFile(lying)
  const [one, other] = [await faces(upright), await faces(lying)]
  expect(one).toHaveLength(3)
  expect(other).toHaveLength(3)
  const places = (found: ReadonlyArray<Finding>) => found.map(middle).sort((a, b) => a[0] - b[0])
  for (const [index, [x, y]] of places(one).entries()) {
    expect(Math.abs(places(other)[index]![0] - x)).toBeLessThan(15)
    expect(Math.abs(places(other)[index]![1] - y)).toBeLessThan(15)
  }
})

it("finds one that fills half of the picture", async () => {
  const path = join(folder, "large.jpg")
  await sharp(join(people, "sample5.jpg"))
    .extract({ left: 687, top: 75, width: 352, height: 352 })
    .resize(1200)
    .jpeg()
    .toFile(path)
  const [face, ...others] = await faces(path)
  expect(others).toHaveLength(0)
  expect(face!.box.width).toBeGreaterThan(500)
})

it("knows no face, so none is ever certain and none has a text", async () => {
  for (const face of await faces(join(people, "sample5.jpg")))
    expect([face.certain, face.text]).toEqual([false, undefined])
})
