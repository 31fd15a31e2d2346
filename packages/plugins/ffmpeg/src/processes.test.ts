import { execFileSync, spawn } from "node:child_process"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  unlinkSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { getPriority } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Encoder, PluginError, type PluginHealth } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { describe, expect, it } from "vitest"
import { ffmpeg } from "./index.ts"
import { open } from "./test/host.ts"
import { studio } from "./test/media.ts"
import { attempt, encoder, folder, programs, system } from "./test/settings.ts"

const here = folder()
const { path, draw } = studio(here)
const clip = draw(
  "clip.mp4",
  ...["-f", "lavfi", "-i", "testsrc2=size=1440x960:rate=30", "-t", "8", "-c:v", "libx264", "-preset", "ultrafast"],
  ...["-pix_fmt", "yuv420p"]
)

/** A program that says what ffmpeg says of itself, and for anything else does `work`. */
const pretender = (name: string, work: string) => {
  const script = `#!/bin/sh
case "$*" in
  *-version*|*-encoders*) exec ${programs.ffmpeg} "$@" ;;
esac
${work}
`
  writeFileSync(path(name), script)
  chmodSync(path(name), 0o755)
  return path(name)
}

const alive = (pid: number) => {
  try {
    process.kill(pid, 0)
    // A zombie is gone too, though nobody has asked for its end yet.
    return !/\) Z /.test(existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, "utf8") : "")
  } catch {
    return false
  }
}
const eventually = async (what: () => boolean, seconds = 10) => {
  for (let tries = 0; tries < seconds * 20; tries++) {
    if (what()) return true
    await sleep(50)
  }
  return false
}
const pidIn = async (name: string) => {
  expect(await eventually(() => existsSync(path(name)) && readFileSync(path(name), "utf8").endsWith("\n"))).toBe(true)
  return Number(readFileSync(path(name), "utf8"))
}
const outputs = (name: string) => {
  mkdirSync(path(name))
  return { at: path(name), output: join(path(name), "copy.mp4"), left: () => readdirSync(path(name)) }
}

describe("a run of ffmpeg", () => {
  it("is stopped with everything it started when its time is up", async () => {
    const hangs = pretender(
      "hangs",
      `sleep 300 & echo $! > ${path("child.pid")}; echo $$ > ${path("own.pid")}; sleep 300`
    )
    const { output, left } = outputs("hang")
    const layer = encoder({ ...programs, ffmpeg: hangs, timeout: 1_500 })
    const result = await attempt(layer, (one) => one.transcode({ input: clip, output }))
    expect(result).toMatchObject({ reason: "Timeout", operation: "transcode", subject: "clip.mp4", retryable: true })
    expect([alive(await pidIn("own.pid")), alive(await pidIn("child.pid"))]).toEqual([false, false])
    expect(left()).toEqual([])
  })

  it("that hangs while looking at a file is stopped too", async () => {
    const hangs = pretender("hanging-probe", "sleep 300")
    const layer = encoder({ ...programs, ffprobe: hangs, probeTimeout: 500 })
    expect(await attempt(layer, (one) => one.probe(clip))).toMatchObject({ reason: "Timeout", operation: "probe" })
  })

  it("that is killed leaves nothing and may be tried again", async () => {
    const marked = pretender("marked", `echo $$ > ${path("victim.pid")}; exec ${programs.ffmpeg} "$@"`)
    const { output, left } = outputs("killed")
    const result = attempt(encoder({ ...programs, ffmpeg: marked }), (one) => one.transcode({ input: clip, output }))
    const pid = await pidIn("victim.pid")
    expect(await eventually(() => left().length > 0)).toBe(true)
    process.kill(pid, "SIGKILL")
    expect(await result).toMatchObject({ reason: "Unavailable", retryable: true })
    expect(left()).toEqual([])
  })

  it("ends with the call that wanted it", async () => {
    const marked = pretender("marked2", `echo $$ > ${path("wanted.pid")}; exec ${programs.ffmpeg} "$@"`)
    const { output, left } = outputs("interrupted")
    const layer = encoder({ ...programs, ffmpeg: marked })
    const fiber = Effect.runFork(
      Effect.provide(
        Encoder.use((one) => one.transcode({ input: clip, output })),
        layer
      )
    )
    const pid = await pidIn("wanted.pid")
    await Effect.runPromise(Fiber.interrupt(fiber))
    expect([alive(pid), left()]).toEqual([false, []])
  })

  it.skipIf(process.platform !== "linux")("ends with an engine that was killed", async () => {
    const marked = pretender("marked3", `echo $$ > ${path("orphan.pid")}; exec sleep 300`)
    const script = join(import.meta.dirname, "test/engine.ts")
    const args = ["--conditions=@mahalla/source", script, marked, programs.ffprobe, clip, path("never.mp4")]
    const engine = spawn(process.execPath, args, { stdio: "ignore" })
    const pid = await pidIn("orphan.pid")
    expect(alive(pid)).toBe(true)
    engine.kill("SIGKILL")
    expect(await eventually(() => !alive(pid))).toBe(true)
  })

  it("sees no environment, no input and bounded resources", async () => {
    process.env.SECRET_OF_THE_CITY = "do not tell"
    const told = path("told.txt")
    const tells = pretender("tells", `{ env; readlink /proc/$$/fd/0; ulimit -v; ulimit -f; nice; } > ${told}; exit 1`)
    const { output } = outputs("told")
    await attempt(encoder({ ...programs, ffmpeg: tells }), (one) => one.transcode({ input: clip, output }))
    const lines = readFileSync(told, "utf8").trim().split("\n")
    expect(lines.filter((line) => /^\w+=/.test(line) && !/^(PWD|_|OLDPWD|SHLVL)=/.test(line)).sort()).toEqual([
      "AV_LOG_FORCE_NOCOLOR=1",
      "LC_ALL=C"
    ])
    expect(lines.slice(-4)).toEqual(["/dev/null", String(2048 * 1024), String(512 * 2048), String(getPriority() + 10)])
  })

  it("removes what a killed engine has left, and nothing that is in use", async () => {
    const { at, left } = outputs("swept")
    for (const name of [".encoding-old", ".encoding-new"]) mkdirSync(join(at, name))
    writeFileSync(join(at, ".encoding-old", "copy.mp4"), "half")
    utimesSync(join(at, ".encoding-old"), new Date("2020-01-01"), new Date("2020-01-01"))
    await attempt(encoder(programs), (one) => one.poster({ input: clip, output: join(at, "poster.jpg") }))
    expect(left()).toEqual([".encoding-new", "poster.jpg"])
  })

  it("that finds the disk full says so and leaves nothing", async (context) => {
    const disk = path("disk")
    mkdirSync(disk)
    const mounted = await new Promise<boolean>((resolve) =>
      spawn("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", disk])
        .on("error", () => resolve(false))
        .on("close", (code) => resolve(code === 0))
    )
    if (!mounted) return context.skip("no file system can be mounted here")
    const layer = encoder(programs)
    const results = [
      await attempt(layer, (one) => one.transcode({ input: clip, output: join(disk, "copy.mp4") })),
      await attempt(layer, (one) => one.frames({ input: clip, directory: disk, at: [0, 1, 2, 3, 4, 5] }))
    ]
    const left = readdirSync(disk)
    execFileSync("umount", [disk])
    for (const result of results) expect(result).toMatchObject({ reason: "Full", retryable: true })
    expect(left).toEqual([])
  })
})

describe("the programs", () => {
  /** Starts the plugin with this PATH only. */
  const withPath = async <A>(value: string, body: () => Promise<A>): Promise<A> => {
    const before = process.env.PATH
    process.env.PATH = value
    return body().finally(() => (process.env.PATH = before ?? ""))
  }
  const healthOf = (mode: "dev" | "production", config: Parameters<typeof ffmpeg>[0] = {}) => {
    const plugin = ffmpeg(config)
    return Effect.runPromise(
      Effect.provide(plugin.health as Effect.Effect<PluginHealth, never, Encoder>, open(plugin, mode))
    )
  }
  const startError = (mode: "dev" | "production", config: Parameters<typeof ffmpeg>[0] = {}) =>
    Effect.runPromise(Effect.flip(Effect.scoped(Layer.build(encoder(config, mode)))))

  it("are the system's where it has them", async (context) => {
    if (system === undefined) return context.skip("there is no ffmpeg but npm's")
    // What bounds it stands elsewhere where ffmpeg was only unpacked.
    const searched = [dirname(system.ffmpeg), process.env.PATH].join(delimiter)
    expect(await withPath(searched, () => healthOf("production"))).toEqual({
      status: "up",
      detail: expect.stringMatching(new RegExp(`^ffmpeg [\\d.]+ at ${system.ffmpeg}, from PATH$`)) as string
    })
  })

  it("come from npm in dev, and health says that this is for trying out", async () => {
    expect(await withPath("/nowhere", () => healthOf("dev"))).toEqual({
      status: "degraded",
      detail: expect.stringContaining("apt-get install ffmpeg") as string
    })
  })

  it("are missing in production where the system has none", async () => {
    const error = await withPath("/nowhere", () => startError("production"))
    expect(error).toBeInstanceOf(PluginError)
    expect(error).toMatchObject({
      reason: "Missing",
      message: expect.stringContaining("apt-get install ffmpeg") as string
    })
  })

  it("must be what the configuration says", async () => {
    expect(await startError("dev", { ffmpeg: "/nowhere/ffmpeg" })).toMatchObject({
      reason: "Missing",
      message: expect.stringContaining("/nowhere/ffmpeg") as string
    })
    const useless = pretender("useless", "exit 1")
    writeFileSync(useless, "#!/bin/sh\nexit 3\n")
    expect(await startError("dev", { ...programs, ffmpeg: useless })).toMatchObject({ reason: "Missing" })
    expect(await startError("dev", { threads: 0 })).toMatchObject({
      message: expect.stringContaining("threads") as string
    })
  })

  it("may vanish while the city runs: health is down, and calls may be tried again", async () => {
    const vanishing = pretender("vanishing", `exec ${programs.ffmpeg} "$@"`)
    const plugin = ffmpeg({ ...programs, ffmpeg: vanishing })
    const { output, left } = outputs("vanished")
    const [result, health] = await Effect.runPromise(
      Effect.gen(function* () {
        const one = yield* Encoder
        yield* Effect.sync(() => unlinkSync(vanishing))
        return [
          yield* Effect.flip(one.transcode({ input: clip, output })),
          yield* plugin.health as Effect.Effect<PluginHealth, never, Encoder>
        ] as const
      }).pipe(Effect.provide(open(plugin, "production")))
    )
    expect(result).toMatchObject({ reason: "Unavailable", retryable: true })
    expect(health.status).toBe("down")
    expect(left()).toEqual([])
  })
})
