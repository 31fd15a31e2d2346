/**
 * Runs the test cases of a folder of LoRaWAN codecs through the sandbox and says how many pass: `npm run codecs -- --dir PATH`, where PATH
 * is a copy of github.com/chirpstack/chirpstack-device-profiles. `--failed` shows what came instead.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { loadavg } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import * as Effect from "effect/Effect"
import { runCodecCases } from "../packages/core/src/modules/telemetry/decode/codec/cases.ts"
import { makeCodecSandbox, type CodecSandbox } from "../packages/core/src/modules/telemetry/decode/codec/sandbox.ts"

const { dir, failed } = parseArgs({ options: { dir: { type: "string" }, failed: { type: "boolean" } } }).values
if (dir === undefined || !existsSync(join(dir, "vendors"))) {
  console.error("Where are the codecs? --dir PATH, with vendors/ in it.")
  process.exit(2)
}

interface VendorCase {
  readonly name: string
  readonly input: {
    readonly bytes?: ReadonlyArray<number>
    readonly fPort?: number
    readonly recvTime?: string
    readonly data?: unknown
    readonly variables?: Readonly<Record<string, string>>
  }
  readonly expected: Readonly<Record<string, unknown>>
}

/** Cases without a time of their own were made in the days before this one; some codecs ask the clock for the year. */
const recvTime = Date.UTC(2026, 0, 2, 15)

/** Cases are JavaScript literals with hexadecimal numbers and comments; they are no more trusted than a codec. */
const readCases = (sandbox: CodecSandbox["Service"], text: string) =>
  sandbox
    .decodeUplink(
      { source: `function decodeUplink() { return { data: { cases: ${text} } } }`, version: "" },
      { bytes: [], fPort: 1, recvTime }
    )
    .pipe(Effect.map(({ data }) => data["cases"] as ReadonlyArray<VendorCase>))

/** The codec of a test file: by its own name, else by the profile of the device that it is named after. */
const codecOf = (vendor: string, name: string): string | undefined => {
  const named = join(vendor, "codecs", `${name}.js`)
  if (existsSync(named)) return named
  const profile = join(vendor, "devices", `${name}.toml`)
  const codec = existsSync(profile) ? /^codec\s*=\s*"(.+)"/m.exec(readFileSync(profile, "utf8"))?.[1] : undefined
  return codec === undefined ? undefined : join(vendor, "codecs", codec)
}

const program = Effect.gen(function* () {
  // A busy machine is no reason to fail a vendor's codec here.
  const sandbox = yield* makeCodecSandbox({ limit: 1_000 })
  const counts = { files: 0, cases: 0, passed: 0 }
  for (const vendor of readdirSync(join(dir, "vendors")).map((name) => join(dir, "vendors", name))) {
    const folder = join(vendor, "codecs")
    for (const file of existsSync(folder) ? readdirSync(folder) : []) {
      const [, kind, name] = /^test_(decode|encode)_(.+)\.json$/.exec(file) ?? []
      if (name === undefined) continue
      counts.files++
      const codec = codecOf(vendor, name)
      const cases = yield* readCases(sandbox, readFileSync(join(folder, file), "utf8"))
      counts.cases += cases.length
      if (codec === undefined) {
        console.log(`no codec for ${file}`)
        continue
      }
      const results = yield* runCodecCases(
        sandbox,
        { source: readFileSync(codec, "utf8"), version: "1" },
        cases.map(({ expected, input, name: title }) => ({
          name: title,
          expected,
          call:
            kind === "encode"
              ? {
                  function: "encodeDownlink",
                  input: { data: input.data, ...(input.variables && { variables: input.variables }) }
                }
              : {
                  function: "decodeUplink",
                  input: {
                    bytes: input.bytes ?? [],
                    fPort: input.fPort ?? 0,
                    recvTime: input.recvTime === undefined ? recvTime : Date.parse(input.recvTime),
                    ...(input.variables && { variables: input.variables })
                  }
                }
        }))
      )
      counts.passed += results.filter(({ passed }) => passed).length
      for (const [index, result] of results.entries())
        if (!result.passed) {
          console.log(`failed: ${file}: ${result.name}`)
          if (failed === true) console.log(JSON.stringify({ expected: cases[index]!.expected, got: result.got }))
        }
    }
  }
  console.log(`${counts.passed} of ${counts.cases} cases in ${counts.files} files pass`)

  const codec = { source: readFileSync(join(dir, "vendors/milesight/codecs/em300-th.js"), "utf8"), version: "1" }
  const input = { bytes: [1, 117, 92, 3, 103, 52, 1, 4, 104, 101], fPort: 85, recvTime }
  const times: Array<number> = []
  for (let round = 0; round < 300; round++) {
    const start = performance.now()
    yield* sandbox.decodeUplink(codec, input)
    times.push(performance.now() - start)
    // As at a town's rate: the next context is made in the pause.
    yield* Effect.sleep(5)
  }
  times.sort((a, b) => a - b)
  const before = process.cpuUsage()
  const start = performance.now()
  yield* Effect.forEach(Array.from({ length: 500 }), () => sandbox.decodeUplink(codec, input), { concurrency: 8 })
  const burst = (performance.now() - start) / 500
  const used = process.cpuUsage(before)
  const micro = (milliseconds: number) => `${(milliseconds * 1000).toFixed(0)} µs`
  console.log(
    `${(codec.source.length / 1024).toFixed(1)} KiB codec: a call in ${micro(times[150]!)} (median; 95 %: ${micro(times[285]!)}), ` +
      `in a burst ${micro(burst)} each, of the processor ${((used.user + used.system) / 500).toFixed(0)} µs; load ${loadavg()[0]!.toFixed(1)}`
  )
})

await Effect.runPromise(Effect.scoped(program))
