/**
 * What the tests of this plugin share: a host, and the two ffmpegs that it must work with.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Encoder, type EncoderError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { afterAll } from "vitest"
import { ensureProgram } from "../../../../../scripts/services/debian.ts"
import { ffmpeg, type FfmpegConfig } from "../index.ts"
import { open } from "./host.ts"

type Config = typeof FfmpegConfig.Encoded

/** A folder for one test file, removed after it. */
export const folder = () => {
  const path = mkdtempSync(join(tmpdir(), "ffmpeg-plugin-"))
  afterAll(() => rmSync(path, { recursive: true, force: true }))
  return path
}

export const encoder = (config: Config = {}, mode: "dev" | "production" = "production") => open(ffmpeg(config), mode)

const require = createRequire(import.meta.url)
const fromNpm = (name: string) => (require(name) as { readonly path: string }).path

/** The old binaries that a machine without ffmpeg gets in `dev`. */
export const npm = { ffmpeg: fromNpm("@ffmpeg-installer/ffmpeg"), ffprobe: fromNpm("@ffprobe-installer/ffprobe") }

/** The machine's own, brought where it is missing; none where that cannot be done. */
export const system = await Promise.all([ensureProgram("ffmpeg"), ensureProgram("ffprobe")]).then(
  ([ffmpeg, ffprobe]) => ({ ffmpeg, ffprobe }),
  (cause: unknown) => {
    process.stdout.write(`Left out: the system's ffmpeg. ${String(cause)}\n`)
    return undefined
  }
)

/** The better of both. */
export const programs = system ?? npm

/** Draws fixtures, whichever ffmpeg is tested. */
export const drawing = programs.ffmpeg

/** What citizens' and streets' recordings the tests read; never copied in. */
export const data = join(import.meta.dirname, "../../../../../../shared/data")

const started = new WeakMap<object, Promise<Encoder["Service"]>>()

/** The encoder of a layer, started once; it holds nothing that must be closed. */
const start = (layer: Layer.Layer<Encoder, unknown>) => {
  const known = started.get(layer) ?? Effect.runPromise(Effect.provide(Encoder, layer))
  started.set(layer, known)
  return known
}

/** Makes one call and gives the port's error instead of throwing it. */
export const attempt = async <A>(
  layer: Layer.Layer<Encoder, unknown>,
  call: (encoder: Encoder["Service"]) => Effect.Effect<A, EncoderError>
): Promise<A | EncoderError> => {
  const result = await Effect.runPromise(Effect.result(call(await start(layer))))
  return result._tag === "Success" ? result.success : result.failure
}
