/**
 * Where ffmpeg comes from: the configuration, else PATH, else, for a first try on a machine that has nothing but Node, an old build
 * from npm. The last only in `dev`, because ffmpeg parses hostile files and that build stopped getting its repairs in 2018.
 */
import { constants } from "node:fs"
import { access } from "node:fs/promises"
import { createRequire } from "node:module"
import { availableParallelism } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { Host, PluginError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import type { FfmpegConfig } from "./config.ts"
import { run, type Program } from "./run.ts"

export type Source = "configuration" | "PATH" | "npm"

export interface Programs {
  readonly ffmpeg: Program
  readonly ffprobe: Program
  readonly source: Source
  /** Of ffmpeg, as in `5.1.9`. */
  readonly version: string
  readonly threads: number
  /** Whether the machine holds each process to its memory and processor time. */
  readonly bounded: boolean
}

type Name = "ffmpeg" | "ffprobe"
interface Found {
  readonly path: string
  readonly source: Source
}

const runnable = (path: string) =>
  Effect.tryPromise(() => access(path, constants.X_OK)).pipe(
    Effect.as(true),
    Effect.orElseSucceed(() => false)
  )

const onPath = Effect.fnUntraced(function* (name: string) {
  const file = process.platform === "win32" ? `${name}.exe` : name
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "")
  for (const folder of folders) if (yield* runnable(join(folder, file))) return join(folder, file)
  return undefined
})

const packages = { ffmpeg: "@ffmpeg-installer/ffmpeg", ffprobe: "@ffprobe-installer/ffprobe" } as const

/** The packages carry one binary for each platform and throw a string on others. */
const fromNpm = (name: Name) =>
  Effect.try(() => (createRequire(import.meta.url)(packages[name]) as { readonly path: string }).path).pipe(
    Effect.orElseSucceed(() => undefined)
  )

const advice = "Install it (`apt-get install ffmpeg`) or set `ffmpeg` and `ffprobe` in the plugin's configuration."

const missing = (instance: string, what: string) =>
  new PluginError({ plugin: "@mahalla/ffmpeg", instance, reason: "Missing", message: `${what} ${advice}` })

const find = Effect.fnUntraced(function* (
  name: Name,
  config: FfmpegConfig
): Effect.fn.Return<Found, PluginError, Host> {
  const host = yield* Host
  const configured = config[name]
  if (configured !== undefined) {
    if (yield* runnable(configured)) return { path: configured, source: "configuration" }
    return yield* missing(host.instance, `\`${name}\` is configured as ${configured}, and no program can be run there.`)
  }
  if (name === "ffprobe" && config.ffmpeg !== undefined) {
    const sibling = join(dirname(config.ffmpeg), "ffprobe")
    if (yield* runnable(sibling)) return { path: sibling, source: "configuration" }
  }
  const path = yield* onPath(name)
  if (path !== undefined) return { path, source: "PATH" }
  const npm = host.mode === "dev" ? yield* fromNpm(name) : undefined
  if (npm !== undefined) return { path: npm, source: "npm" }
  return yield* missing(host.instance, `There is no ${name} on this machine.`)
})

const parseVersion = (output: string) => {
  const token = /^ff\w+ version (\S+)/.exec(output)?.[1]
  return token === undefined ? undefined : (/^n?(\d+(?:\.\d+)+)/.exec(token)?.[1] ?? token)
}

/** What the program says of itself, or undefined when it cannot be run so. */
const ask = (program: Program, ...args: ReadonlyArray<string>) =>
  run({ program, args: ["-hide_banner", ...args], timeout: 20_000 }).pipe(
    Effect.map((finished) => (finished.code === 0 ? finished.output : undefined)),
    Effect.orElseSucceed(() => undefined)
  )

export const versionOf = (program: Program) =>
  Effect.map(ask(program, "-version"), (output) => (output === undefined ? undefined : parseVersion(output)))

/** Candidates for the guard, the strictest first; a machine lacks some of these programs. */
const guards = Effect.fnUntraced(function* (config: FfmpegConfig, threads: number) {
  if (process.platform === "win32") return [[]]
  const [setpriv, prlimit, nice] = yield* Effect.forEach(["setpriv", "prlimit", "nice"], onPath)
  // Without it ffmpeg would outlive an engine that was killed, until its time is up.
  const dieWithUs = setpriv === undefined ? [] : [setpriv, "--no-new-privs", "--pdeathsig", "KILL"]
  const seconds = Math.ceil(Math.max(config.timeout, config.probeTimeout) / 1000) * threads
  const { memory, output } = config.limits
  const limits =
    prlimit === undefined
      ? []
      : [prlimit, `--as=${memory}`, `--cpu=${seconds}`, `--fsize=${output}`, "--core=0", "--nofile=256"]
  const yielding = nice === undefined ? [] : [nice, "-n", "10"]
  return [[...dieWithUs, ...limits, ...yielding], [...limits, ...yielding], yielding, []]
})

export const findPrograms = Effect.fnUntraced(function* (
  config: FfmpegConfig
): Effect.fn.Return<Programs, PluginError, Host> {
  const host = yield* Host
  const ffmpeg = yield* find("ffmpeg", config)
  const ffprobe = yield* find("ffprobe", config)
  const threads = config.threads ?? Math.min(4, availableParallelism())
  for (const guard of yield* guards(config, threads)) {
    const programs = { ffmpeg: { path: ffmpeg.path, guard }, ffprobe: { path: ffprobe.path, guard } }
    const version = yield* versionOf(programs.ffmpeg)
    if (version === undefined || (yield* versionOf(programs.ffprobe)) === undefined) continue
    const encoders = (yield* ask(programs.ffmpeg, "-encoders")) ?? ""
    if (!/ libx264 /.test(encoders) || !/ aac /.test(encoders))
      return yield* missing(host.instance, `${ffmpeg.path} is built without libx264 or aac.`)
    const source = ffmpeg.source === "npm" || ffprobe.source === "npm" ? "npm" : ffmpeg.source
    if (source === "npm")
      yield* Effect.logWarning(
        `Videos are read with an old ffmpeg from npm. Fit for trying out, not for strangers' files. ${advice}`
      )
    const bounded = guard.some((part) => part.startsWith("--as="))
    if (!bounded && host.mode === "production")
      yield* Effect.logWarning(
        "ffmpeg runs without limits on memory: `prlimit` is missing, or `limits.memory` is too small to start. Install util-linux."
      )
    return { ...programs, source, version, threads, bounded }
  }
  return yield* missing(host.instance, `${ffmpeg.path} or ${ffprobe.path} does not answer \`-version\`.`)
})
