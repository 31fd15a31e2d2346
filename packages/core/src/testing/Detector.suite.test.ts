import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Layer from "effect/Layer"
import { afterAll, describe, expect, it } from "vitest"
import { brokenDetector, brokenDetectors, type DetectorScript, scriptedDetector } from "./Detector.fakes.ts"
import { evenPicture } from "./Detector.probes.ts"
import { DetectorSamples, detectorSuite } from "./Detector.suite.ts"

const folder = mkdtempSync(join(tmpdir(), "mahalla-detector-fake-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
for (const name of ["plate.png", "blurred.png"]) writeFileSync(join(folder, name), evenPicture(200, 100))

const box = { x: 20, y: 30, width: 100, height: 20 }
const script: DetectorScript = (file) =>
  file === "plate.png"
    ? [{ kind: "plate", box, text: "01A123BC", confidence: 0.98, certain: true }]
    : file === "blurred.png"
      ? [{ kind: "plate", box, text: "01?123BC", confidence: 0.4, certain: false }]
      : []

const samples = Layer.succeed(DetectorSamples, {
  readable: [{ path: join(folder, "plate.png"), width: 200, height: 100, kind: "plate", text: "01A123BC", box }],
  unreadable: [join(folder, "blurred.png")]
})

detectorSuite.run({ describe, it }, { name: "scripted", layer: Layer.merge(scriptedDetector(script), samples) })

describe("Detector suite", () => {
  it("has one broken detector for each rule, and no other", () => {
    expect(Object.keys(brokenDetectors).sort()).toEqual(detectorSuite.rules.map((rule) => rule.name).sort())
  })
  for (const { name } of detectorSuite.rules)
    it(`catches a detector that breaks "${name}"`, async () => {
      expect(await detectorSuite.verdict(name, Layer.merge(brokenDetector(name, script), samples))).toBe("broken")
    })
  it("leaves out the rules about findings where the layer brings no samples", async () => {
    const rule = "gives each finding its frame and moment"
    expect(await detectorSuite.verdict(rule, scriptedDetector(script))).toBe("skipped")
  })
})
