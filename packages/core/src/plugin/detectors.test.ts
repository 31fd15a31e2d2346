import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { afterAll, describe, expect, it } from "vitest"
import { Detector, DetectorError, Encoder, type Finding } from "../ports/index.ts"
import { scriptedDetector } from "../testing/Detector.fakes.ts"
import { evenPicture } from "../testing/Detector.probes.ts"
import { DetectorSamples, detectorSuite } from "../testing/Detector.suite.ts"
import { memoryEncoder } from "../testing/Encoder.memory.ts"
import { apiVersion, definePlugin, type Plugin, type PluginHealth } from "./definePlugin.ts"
import { detectors } from "./detectors.ts"
import { Host } from "./Host.ts"

const folder = mkdtempSync(join(tmpdir(), "mahalla-detectors-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
for (const name of ["both.png", "blurred.png"]) writeFileSync(join(folder, name), evenPicture(200, 100))

const box = { x: 20, y: 30, width: 100, height: 20 }
type Found = Omit<Finding, "frame" | "at">
const plate: Found = { kind: "plate", box, text: "01A123BC", confidence: 0.98, certain: true }
const face: Found = { kind: "face", box, confidence: 0.6, certain: false }

const plugin = (id: string, layer: Layer.Layer<Detector>): Plugin =>
  definePlugin({ id, apiVersion, config: Schema.Struct({}), provides: [Detector], layer: () => layer })({})
const finding = (id: string, found: Found) =>
  plugin(
    id,
    scriptedDetector((file) => (file === "both.png" ? [found] : []))
  )
const opened = (...plugins: ReadonlyArray<Plugin>) =>
  detectors(plugins).layer.pipe(
    Layer.provide(Layer.succeed(Host, { instance: "test", home: folder, scratch: folder, mode: "dev" }))
  ) as unknown as Layer.Layer<Detector, { readonly message: string }>
const detect = (layer: Layer.Layer<Detector, { readonly message: string }>) =>
  Detector.use((detector) =>
    Effect.map(detector.detect({ frames: [{ path: join(folder, "both.png") }] }), (found) => ({
      model: detector.model,
      kinds: found.map(({ kind }) => kind)
    }))
  ).pipe(Effect.provide(layer))

const samples = Layer.succeed(DetectorSamples, {
  readable: [{ path: join(folder, "both.png"), width: 200, height: 100, kind: "plate", text: "01A123BC", box }],
  unreadable: [join(folder, "blurred.png")]
})
detectorSuite.run(
  { describe, it },
  {
    name: "two as one",
    layer: Layer.merge(Layer.orDie(opened(finding("faces", face), finding("plates", plate))), samples)
  }
)

describe("several detectors as one", () => {
  it("find_what_each_of_them_finds_surest_first", async () => {
    const answer = await Effect.runPromise(detect(opened(finding("faces", face), finding("plates", plate))))
    expect(answer).toEqual({ model: "scripted/1.0.0+scripted/1.0.0", kinds: ["plate", "face"] })
  })

  it("fail_where_one_of_them_does", async () => {
    const failing = plugin(
      "failing",
      Layer.succeed(Detector, {
        model: "failing/1.0.0",
        detect: () =>
          Effect.fail(
            new DetectorError({
              ...{ reason: "Unavailable", operation: "detect", subject: "both.png" },
              ...{ message: "It is away. Try again.", retryable: true }
            })
          )
      })
    )
    const error = await Effect.runPromise(Effect.flip(detect(opened(finding("plates", plate), failing))))
    expect(error).toMatchObject({ reason: "Unavailable", retryable: true })
  })

  it("refuse_what_is_no_detector", async () => {
    const encoder = definePlugin({
      ...{ id: "encoder", apiVersion, config: Schema.Struct({}) },
      ...{ provides: [Encoder], layer: () => memoryEncoder }
    })({})
    const error = await Effect.runPromise(Effect.flip(detect(opened(finding("plates", plate), encoder))))
    expect(error.message).toMatch(/encoder is not a detector alone/)
  })

  it("are_as_healthy_as_the_worst_of_them", async () => {
    const ill: Plugin = { ...finding("faces", face), health: Effect.succeed({ status: "down", detail: "no memory" }) }
    const health = await Effect.runPromise(
      detectors([finding("plates", plate), ill]).health as Effect.Effect<PluginHealth>
    )
    expect(health).toEqual({ status: "down", detail: "no memory" })
  })
})
