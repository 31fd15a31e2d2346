/**
 * How well the plates plugin reads: real European photographs from `../shared/data/plates-eu`, the half it was tuned on and the other half
 * apart, and rendered Uzbek and Georgian plates, which are synthetic. `--only=first`, `--only=second` or
 * `--only=synthetic` measures one of the three; `--all` lists each picture.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import { Detector, type DetectRequest, Host, type Finding, type Plugin } from "@mahalla/core/plugin"
import { plates } from "@mahalla/plates"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { renderPlates } from "./plates-synthetic.ts"

interface Case {
  readonly name: string
  readonly path: string
  readonly text: string
}

const photos = join(import.meta.dirname, "../../shared/data/plates-eu")
const all = process.argv.includes("--all")
const only = process.argv.find((argument) => argument.startsWith("--only="))?.slice("--only=".length)
const asked = (part: string) => only === undefined || only === part

const fold = (text: string) => text.replaceAll("O", "0").replaceAll("I", "1")

const photographs = (): ReadonlyArray<Case> =>
  readdirSync(photos)
    .filter((name) => name.endsWith(".jpg"))
    .sort()
    .map((name) => ({
      name,
      path: join(photos, name),
      text:
        readFileSync(join(photos, name.replace(".jpg", ".txt")), "utf8")
          .trim()
          .split("\t")
          .at(-1) ?? ""
    }))

/** Right and certain; certain and not right (even beside a right one); neither. */
const judge = (findings: ReadonlyArray<Finding>, truth: string): "exact" | "wrong" | "unsure" => {
  const sure = findings.filter((finding) => finding.certain)
  if (sure.some((finding) => fold(finding.text ?? "") !== fold(truth))) return "wrong"
  return sure.length > 0 ? "exact" : "unsure"
}

const measure = Effect.fn("bench.measure")(function* (
  title: string,
  cases: ReadonlyArray<Case>,
  countries: ReadonlyArray<string>
) {
  const detector = yield* Detector
  const counts = { exact: 0, wrong: 0, unsure: 0 }
  let textRight = 0
  const times: Array<number> = []
  for (const { name, path, text } of cases) {
    const start = performance.now()
    const request: DetectRequest = { frames: [{ path }], countries }
    const findings = yield* detector.detect(request)
    times.push(performance.now() - start)
    const verdict = judge(findings, text)
    counts[verdict]++
    if (findings.some((finding) => fold(finding.text ?? "") === fold(text))) textRight++
    if (all || verdict === "wrong")
      console.log(
        `  ${verdict.padEnd(6)} ${name} ${text}: ${findings.map((f) => `${f.text} ${f.confidence.toFixed(2)}${f.certain ? " certain" : ""}`).join(", ")}`
      )
  }
  times.sort((a, b) => a - b)
  const share = (count: number) => `${count}/${cases.length} (${((100 * count) / cases.length).toFixed(0)} %)`
  console.log(
    `${title}: exact ${share(counts.exact)}, wrong ${counts.wrong}, unsure ${counts.unsure}; right text among all findings ${textRight}; ` +
      `median ${times[times.length >> 1]?.toFixed(0)} ms, slowest ${times.at(-1)?.toFixed(0)} ms, load ${loadavg()[0]!.toFixed(1)}`
  )
  return counts
})

const scratch = mkdtempSync(join(tmpdir(), "mahalla-bench-plates-"))
const host = Layer.succeed(Host, { instance: "plates", home: scratch, scratch, mode: "dev" })
// The plugin's layer says nothing of what it provides; the port is what it lists.
const layer = (plates({}) as Plugin).layer.pipe(Layer.provide(host)) as unknown as Layer.Layer<Detector>

const program = Effect.gen(function* () {
  if (existsSync(photos)) {
    const cases = photographs()
    const middle = cases.length >> 1
    // European photographs: Slovak, Czech, Polish and German formats first, as a city there would configure it.
    const countries = ["SK", "CZ", "PL", "DE"]
    if (asked("first"))
      yield* measure("real photographs, first half by name (tuned on)", cases.slice(0, middle), countries)
    if (asked("second"))
      yield* measure("real photographs, second half by name (not tuned on)", cases.slice(middle), countries)
  } else console.log(`left out: the real photographs, for ${photos} is missing`)
  if (asked("synthetic"))
    for (const { title, cases } of yield* Effect.promise(() => renderPlates(scratch)))
      yield* measure(`synthetic, ${title}`, cases, ["UZ", "GE"])
}).pipe(Effect.provide(layer), Effect.ensuring(Effect.sync(() => rmSync(scratch, { recursive: true, force: true }))))

await Effect.runPromise(program)
