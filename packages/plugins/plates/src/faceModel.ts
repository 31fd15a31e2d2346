/** The weights that find faces: 193 kB of data in a package of which no code runs. */
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import type { Manifest } from "./faces.ts"

const file = (ending: string) =>
  createRequire(import.meta.url).resolve(`@vladmandic/face-api/model/tiny_face_detector_model${ending}`)

export const faceModel = (): readonly [Manifest, Uint8Array] => [
  JSON.parse(readFileSync(file("-weights_manifest.json"), "utf8")) as Manifest,
  readFileSync(file(".bin"))
]
