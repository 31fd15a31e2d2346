/**
 * What the ffmpeg plugin costs beside ffmpeg itself, and how long a phone's half minute takes from the recording to plates that are read.
 * The floor is a bare ffmpeg with the very arguments of the plugin, at the same priority.
 *
 * `npm run bench -- encode`; `--rounds=3` for a quick look.
 */
import { execFile, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { chmod, mkdir, rename, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { Detector, Encoder, Host, type Plugin } from "@mahalla/core/plugin"
import { ffmpeg } from "@mahalla/ffmpeg"
import { plates } from "@mahalla/plates"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { makePlateClip } from "../scripts/make-plate-clip.ts"
import { ensureProgram } from "../scripts/services/debian.ts"
import { figure, interleave, median, report, type Sample } from "./measure.ts"

const program = await ensureProgram("ffmpeg")
const ffprobe = await ensureProgram("ffprobe")
const root = join(import.meta.dirname, "..")

/** 30 seconds of 1920×1080 at 30 pictures a second and 17 Mbit/s with a sensor's noise, as a phone writes them; made once. */
const phoneClip = async (scratch: string): Promise<string> => {
  const path = join(root, ".cache/bench/phone-30s.mp4")
  if (existsSync(path)) return path
  await mkdir(join(root, ".cache/bench"), { recursive: true })
  const { path: wandering } = await makePlateClip({ output: join(scratch, "plates.mp4"), seconds: 30, ffmpeg: program })
  const made = join(scratch, "phone.mp4")
  await promisify(execFile)(program, [
    ...["-v", "error", "-nostdin", "-i", wandering, "-vf", "fps=30,scale=1920:1080,noise=alls=6:allf=t"],
    ...[
      "-c:v",
      "libx264",
      "-preset",
      "superfast",
      "-b:v",
      "17M",
      "-pix_fmt",
      "yuv420p",
      "-g",
      "30",
      "-c:a",
      "copy",
      made
    ]
  ])
  await rename(made, path)
  return path
}

/** What the plugin tells ffmpeg when it transcodes: a program in its place that writes it down. */
const argumentsOf = async (scratch: string, input: string): Promise<ReadonlyArray<string>> => {
  const log = join(scratch, "arguments")
  const scribe = join(scratch, "ffmpeg")
  await writeFile(
    scribe,
    `#!/bin/sh\ncase "$*" in *copy.mp4*) printf '%s\\n' "$@" > ${log}; exit 1 ;; *) exec ${program} "$@" ;; esac\n`
  )
  await chmod(scribe, 0o755)
  await withEncoder({ ffmpeg: scribe }, (encoder) =>
    Effect.ignore(encoder.transcode({ input, output: join(scratch, "x.mp4") }))
  )
  return readFileSync(log, "utf8").trimEnd().split("\n")
}

const layerOf = <Port>(plugin: Plugin, scratch: string) =>
  plugin.layer.pipe(
    Layer.provide(Layer.succeed(Host, { instance: "bench", home: scratch, scratch, mode: "production" }))
  ) as unknown as Layer.Layer<Port>

const withEncoder = <A>(
  config: { readonly ffmpeg?: string },
  use: (encoder: Encoder["Service"]) => Effect.Effect<A, unknown>
) =>
  Effect.runPromise(
    Effect.provide(Encoder.use(use), layerOf<Encoder>(ffmpeg({ ffmpeg: program, ffprobe, ...config }), tmpdir()))
  )

const bare = (args: ReadonlyArray<string>, cwd: string) =>
  new Promise<void>((resolve, reject) => {
    spawn("nice", ["-n", "10", program, ...args], { cwd, stdio: "ignore" })
      .on("error", reject)
      .on("close", (code) => (code === 0 ? resolve() : reject(new Error(`ffmpeg ended with ${code}`))))
  })

/** Processor time of the processes that have ended, in seconds; the wall clock says little on a machine that is busy otherwise. */
const processorTime = () => {
  const stat = readFileSync("/proc/self/stat", "utf8")
  const [user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(13, 15)
    .map(Number)
  return (user + system) / 100
}

const timed = async (step: () => Promise<unknown>): Promise<Sample> => {
  const [start, before] = [performance.now(), processorTime()]
  await step()
  return { seconds: (performance.now() - start) / 1000, processor: processorTime() - before }
}

export const run = async (args: ReadonlyArray<string> = []): Promise<void> => {
  const rounds = Number(args.find((arg) => arg.startsWith("--rounds="))?.slice(9) ?? 9)
  const scratch = mkdtempSync(join(tmpdir(), "mahalla-bench-encode-"))
  try {
    const input = await phoneClip(scratch)
    const told = await argumentsOf(scratch, input)
    const output = join(scratch, "ours.mp4")
    const samples = await withEncoder({}, (encoder) =>
      Effect.promise(() =>
        interleave(
          {
            ours: () => timed(() => Effect.runPromise(encoder.transcode({ input, output }))),
            floor: () => timed(() => bare(told, scratch))
          },
          rounds
        )
      )
    )
    for (const metric of ["seconds", "processor"])
      report({
        ...{ bench: "encode", metric, unit: "s for 30 s of 1080p", against: "ffmpeg with the same arguments" },
        ...{ ours: samples.ours, floor: samples.floor, better: "lower" }
      })
    await read(scratch, input, median(samples.ours.map((sample) => sample["seconds"] ?? Number.NaN)))
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** One picture a second out of the recording, and what the plates plugin makes of them. */
const read = async (scratch: string, input: string, encoding: number) => {
  const at = Array.from({ length: 30 }, (_, second) => second + 0.5)
  const both = Layer.mergeAll(
    layerOf<Encoder>(ffmpeg({ ffmpeg: program, ffprobe }), scratch),
    layerOf<Detector>(plates({}), scratch)
  )
  await Effect.gen(function* () {
    const encoder = yield* Encoder
    const detector = yield* Detector
    const start = performance.now()
    const before = processorTime()
    const frames = yield* encoder.frames({ input, directory: join(scratch, "frames"), at })
    const taken = performance.now()
    figure("encode", "frames", "s for 30 pictures of 1080p", (taken - start) / 1000)
    figure("encode", "frames, processor", "s for 30 pictures of 1080p", processorTime() - before)
    yield* detector.detect({ frames, countries: ["SK", "CZ"] })
    const read = performance.now()
    figure("encode", "plates", "s for 30 pictures of 1080p", (read - taken) / 1000)
    figure("encode", "encoded and read", "s for 30 s of 1080p, at most 30", encoding + (read - start) / 1000)
  }).pipe(Effect.provide(both), Effect.runPromise)
}
