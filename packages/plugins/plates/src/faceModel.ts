/** The weights that find faces: 193 kB of data in a package of which no code runs. */
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import type { Manifest } from "./faces.ts"

const require = createRequire(import.meta.url)

export const faceModel = (): readonly [Manifest, Uint8Array] => [
  JSON.parse(
    readFileSync(require.resolve("@vladmandic/face-api/model/tiny_face_detector_model-weights_manifest.json"), "utf8")
  ) as Manifest,
  readFileSync(require.resolve("@vladmandic/face-api/model/tiny_face_detector_model.bin"))
]
