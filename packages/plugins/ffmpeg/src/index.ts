/**
 * Encoder with the ffmpeg of this machine: probes, copies, posters and frames of what citizens send. Use it wherever videos arrive; on a
 * machine without ffmpeg it starts in `dev` only.
 */
import { definePlugin, Encoder, type PluginHealth } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { FfmpegConfig } from "./config.ts"
import { makeEncoder } from "./FfmpegEncoder.ts"
import { findPrograms, versionOf, type Programs } from "./programs.ts"

export { FfmpegConfig } from "./config.ts"

/** The programs behind each encoder that lives, for its health. */
const behind = new WeakMap<Encoder["Service"], Programs>()

const health = Effect.fnUntraced(function* () {
  const programs = behind.get(yield* Encoder)
  if (programs === undefined) return { status: "down", detail: "The encoder is not this plugin's." } as PluginHealth
  const version = yield* versionOf(programs.ffmpeg)
  const where = `ffmpeg ${programs.version} at ${programs.ffmpeg.path}, from ${programs.source}${programs.bounded ? "" : ", without limits on memory"}`
  if (version === undefined)
    return { status: "down", detail: `${where}, does not answer. Install ffmpeg again and restart.` } as PluginHealth
  if (programs.source === "npm")
    return {
      status: "degraded",
      detail: `${where}: an old build. Install the system's: apt-get install ffmpeg.`
    } as PluginHealth
  return { status: "up", detail: where } as PluginHealth
})

/**
 * @example ffmpeg({})
 * @example ffmpeg({ ffmpeg: "/opt/ffmpeg/bin/ffmpeg", limits: { seconds: 120 } })
 */
export const ffmpeg = definePlugin({
  id: "@mahalla/ffmpeg",
  apiVersion: 1,
  config: FfmpegConfig,
  provides: [Encoder],
  layer: (config) =>
    Layer.effect(
      Encoder,
      Effect.map(findPrograms(config), (programs) => {
        const encoder = makeEncoder({ programs, config })
        behind.set(encoder, programs)
        return encoder
      })
    ),
  health
})
