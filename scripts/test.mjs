// `npm test`: every gate of the repository, one after the other. All of them run even when one fails; the end says which did.
// Options: --only <step>[,<step>] runs those alone, --soak runs the full counts and knows no time limit. What else is given are parts of
// the names of test files, which run alone then: `npm run soak -- --only tests kill.test.ts`.
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs"
import { delimiter, join, relative, resolve } from "node:path"
import { parseArgs, stripVTControlCharacters } from "node:util"
import { bin, filesIn, packageFolders, root } from "./workspace.mjs"

/** Fewer tests than this mean that a configuration was ignored, not that there are fewer. Raise it as the suites grow. */
const leastTests = 2300
/** Minutes after which it is stopped. On two cores that do nothing else it takes about twenty. */
const limit = 25

const { values: options, positionals: names } = parseArgs({
  options: { only: { type: "string" }, soak: { type: "boolean", default: false } },
  allowPositionals: true
})

const report = join(root, ".cache", "vitest.json")
const sources = ["packages", "examples", "bench"].filter((folder) => filesIn(join(root, folder)).length > 0)
const steps = [
  { name: "format", title: "Format", command: ["prettier", "--check", "--cache", "--log-level=warn", "."] },
  { name: "types", title: "Types (tsc -b)", command: ["tsc", "-b"] },
  { name: "lint", title: "House rules (oxlint)", command: ["oxlint"] },
  {
    name: "directions",
    title: "Import directions",
    command: ["depcruise", "--config", ".dependency-cruiser.cjs", ...sources]
  },
  { name: "files", title: "Files, SQL, lockfile", command: ["node", "scripts/check-files.mjs"] },
  { name: "unused", title: "Unused code and dependencies (knip)", command: ["knip", "--no-config-hints"] },
  { name: "build", title: "Build", command: ["node", "scripts/build.mjs"] },
  { name: "programs", title: "Program in one file", command: ["node", "dist/cli/mahalla.js", "--version"] },
  { name: "packages", title: "Packages as published (publint, attw)", command: ["node", "scripts/pack.mjs"] },
  { name: "third-party", title: "A plugin from outside", command: ["node", "scripts/third-party.mjs"] },
  {
    name: "tests",
    title: "Tests (vitest)",
    command: ["vitest", "run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...names]
  }
]

const wanted = options.only?.split(",") ?? steps.map((step) => step.name)
const unknown = wanted.filter((name) => !steps.some((step) => step.name === name))
if (unknown.length > 0) {
  console.error(`No step ${unknown.join(", ")}. There are: ${steps.map((step) => step.name).join(", ")}.`)
  process.exit(2)
}

const env = {
  ...process.env,
  PATH: join(root, "node_modules", ".bin") + delimiter + process.env.PATH,
  ...(options.soak ? { MAHALLA_SOAK: "1" } : {})
}
const windows = process.platform === "win32"
let running
const stop = (signal) => {
  if (running === undefined) return
  // Each step is a process group of its own, so that nothing it started stays behind.
  if (windows) running.kill(signal)
  else
    try {
      process.kill(-running.pid, signal)
    } catch {}
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
  process.on(signal, () => {
    stop(signal)
    process.exitCode = 130
    setTimeout(() => process.exit(130), 10_000).unref()
    interrupted = true
  })
let interrupted = false

/** Runs a step, shows its output as it comes and gives its text back. */
const run = ([program, ...args], milliseconds) =>
  new Promise((settle) => {
    const command = program === "node" ? process.execPath : bin(program)
    const child = spawn(command, args, {
      cwd: root,
      env,
      detached: !windows,
      shell: windows && program !== "node",
      stdio: ["ignore", "pipe", "pipe"]
    })
    running = child
    let text = ""
    for (const stream of ["stdout", "stderr"])
      child[stream].on("data", (chunk) => {
        process[stream].write(chunk)
        text += chunk
      })
    let late = false
    const timer = setTimeout(() => {
      late = true
      console.error(`\nStopped after ${Math.round(milliseconds / 1000)} s.`)
      stop("SIGTERM")
      setTimeout(() => stop("SIGKILL"), 15_000).unref()
    }, milliseconds)
    const done = (code) => {
      clearTimeout(timer)
      running = undefined
      settle({ ok: code === 0 && !late, text })
    }
    child.on("error", (error) => {
      console.error(`${program}: ${error.message}`)
      done(1)
    })
    // What a step leaves running may hold its output open for ever, so `close` is given a moment only.
    child.on("exit", (code) => {
      const moment = setTimeout(() => done(code), 2000)
      child.on("close", () => {
        clearTimeout(moment)
        done(code)
      })
    })
  })

const testFiles = [...packageFolders, "scripts"].flatMap((folder) =>
  filesIn(join(root, folder))
    .filter((file) => /\.test\.(ts|mjs)$/.test(file) && !/(^|\/)(dist|third-party)\//.test(file))
    .map((file) => ({ project: folder.replace(/^packages\//, ""), file, path: join(root, folder, file) }))
)

/** A file's failed tests with the first lines of what they said: whoever sees only the end of the output sees what to look at. */
const failuresOf = ({ name, message, assertionResults }) => {
  const failed = assertionResults.filter(({ status }) => status === "failed")
  const said = (text) =>
    stripVTControlCharacters(text ?? "")
      .split("\n")
      .slice(0, 3)
      .join("\n    ")
      .slice(0, 500)
  const file = relative(root, name)
  return failed.length === 0 && message
    ? [`${file}\n    ${said(message)}`]
    : failed.map((test) => `${file} > ${test.fullName}\n    ${said(test.failureMessages[0])}`)
}

/** Vitest's counts, and whether every test file on disk was among them. */
const readReport = (output) => {
  if (!existsSync(report)) {
    const lines = stripVTControlCharacters(output)
    const open = testFiles.filter(({ project, file }) => !lines.includes(`${project} ${file} (`))
    return { faults: ["vitest wrote no report", ...open.map(({ path }) => `  not finished: ${path}`)] }
  }
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, "utf8"))
  const ran = new Set(testResults.map(({ name }) => resolve(name)))
  const failures = testResults.flatMap(failuresOf)
  if (names.length > 0) return { passed: numPassedTests, failed: numFailedTests, faults: [], failures }
  const faults = testFiles.filter(({ path }) => !ran.has(path)).map(({ path }) => `vitest did not run ${path}`)
  if (numPassedTests + numFailedTests < leastTests)
    faults.push(`only ${numPassedTests + numFailedTests} tests ran, at least ${leastTests} are there`)
  return { passed: numPassedTests, failed: numFailedTests, faults, failures }
}

const started = Date.now()
const seconds = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`
const results = []
mkdirSync(join(root, ".cache"), { recursive: true })
rmSync(report, { force: true })
let text = ""
let counts
for (const step of steps.filter(({ name }) => wanted.includes(name))) {
  if (interrupted) break
  console.log(`\n━━ ${step.title} ━━`)
  const since = Date.now()
  const left = options.soak ? 2 ** 31 - 1 : started + limit * 60_000 - since
  const outcome = left > 0 ? await run(step.command, left) : { ok: false, text: "" }
  if (left <= 0) console.error(`Not run: the ${limit} minutes are over.`)
  if (step.name === "tests") {
    text = outcome.text
    counts = readReport(text)
    for (const fault of counts.faults) console.error(fault)
    if (counts.faults.length > 0) outcome.ok = false
  }
  results.push({ ...step, ok: outcome.ok, took: seconds(since) })
}

console.log(`\n━━ Summary, ${seconds(started)} ━━`)
for (const { ok, name, title, took } of results)
  console.log(`${ok ? "ok  " : "FAIL"} ${name.padEnd(12)} ${took.padStart(8)}  ${title}`)
const broken = results.filter(({ ok }) => !ok)
if (broken.length > 0)
  console.log(`\nFailed: ${broken.map(({ name }) => name).join(", ")}. One alone: npm test -- --only ${broken[0].name}`)
const end = /^.*Test Files {2}[^]*$/m.exec(stripVTControlCharacters(text))?.[0].trimEnd()
if (end) console.log(`\n${end}`)
for (const failure of counts?.failures ?? []) console.log(`\n× ${failure}`)

// A step that failed without a failed test counts as one, so that "0 failed" always means that everything passed.
const { passed = 0, failed = 0 } = counts ?? {}
const others = broken.filter(({ name }) => name !== "tests" || failed === 0).length
console.log(`\n${passed} passed, ${failed + others} failed`)
process.exitCode ||= broken.length > 0 || interrupted ? 1 : 0
