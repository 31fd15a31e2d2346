// What neither compiler nor linter sees: how long files are, settings in SQL files that outlive their transaction, and a
// lockfile that differs from the manifests or holds native packages for some platforms only.
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { parse } from "yaml"
import { filesIn, manifest, packageFolders, root } from "./workspace.mjs"

const most = 800
const faults = []

const files = ["packages", "examples", "bench", "scripts"]
  .flatMap((folder) => filesIn(join(root, folder)).map((file) => `${folder}/${file}`))
  .filter((file) => !/(^|\/)(dist|\.mahalla)\//.test(file))
const text = (file) => readFileSync(join(root, file), "utf8")

const sources = files.filter((file) => /\.(ts|tsx|mjs)$/.test(file) && !/\.gen\.ts$/.test(file))
const lengths = sources.map((file) => ({ file, lines: text(file).split("\n").length - 1 }))
lengths.sort((a, b) => a.lines - b.lines)
const median = lengths[Math.floor(lengths.length / 2)]?.lines ?? 0
const long = lengths.filter(({ lines }) => lines > 400)
console.log(`${lengths.length} source files, median ${median} lines, longest ${lengths.at(-1)?.lines ?? 0}`)
for (const { file, lines } of long) console.log(`  ${lines} lines: ${file}`)
for (const { file, lines } of long)
  if (lines > most) faults.push(`${file} has ${lines} lines, more than ${most}; which two rooms is it?`)

for (const file of files.filter((name) => name.endsWith(".sql")))
  text(file)
    .split("\n")
    .forEach((line, index) => {
      if (/^\s*SET\s+(?!LOCAL\b|CONSTRAINTS\b)/i.test(line) && !/^\s*SET\s+\w+\s*=.*[^;]$/i.test(line))
        faults.push(`${file}:${index + 1}: SET reaches the connection's next user; use SET LOCAL`)
    })

/** A lockfile made on one machine must serve the others: every native package is there for each of these. */
const platforms = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64", "win32-x64"]
const { packages, snapshots, importers } = parse(text("pnpm-lock.yaml"))
const platformsOf = (entry) =>
  [entry?.os].flat().flatMap((os) => [entry?.cpu].flat().map((cpu) => `${os ?? "*"}-${cpu ?? "*"}`))
const keyOf = (name, version) => (version in packages ? version : `${name}@${version.replace(/\(.*$/, "")}`)
for (const [owner, { optionalDependencies = {} }] of [
  ...Object.entries(snapshots),
  ...Object.entries(importers).map(([folder, { optionalDependencies = {} }]) => [
    folder,
    {
      optionalDependencies: Object.fromEntries(
        Object.entries(optionalDependencies).map(([name, { version }]) => [name, version])
      )
    }
  ])
]) {
  const natives = Object.entries(optionalDependencies)
    .map(([name, version]) => packages[keyOf(name, version)])
    .filter((entry) => entry?.os !== undefined && entry.cpu !== undefined)
  if (natives.length < 2) continue
  const there = new Set(natives.flatMap(platformsOf))
  const absent = platforms.filter((platform) => !there.has(platform))
  if (absent.length > 0) faults.push(`pnpm-lock.yaml: ${owner} lacks its package for ${absent.join(", ")}`)
}

for (const folder of new Set([...Object.keys(importers), ...packageFolders])) {
  const locked = importers[folder]
  const declared = existsSync(join(root, folder, "package.json")) ? manifest(folder) : {}
  for (const kind of ["dependencies", "devDependencies", "optionalDependencies"]) {
    const wanted = declared[kind] ?? {}
    const held = locked?.[kind] ?? {}
    for (const name of new Set([...Object.keys(wanted), ...Object.keys(held)]))
      // A peer that pnpm installs by itself stands among the dependencies.
      if (wanted[name] !== held[name]?.specifier && !(wanted[name] === undefined && declared.peerDependencies?.[name]))
        faults.push(`pnpm-lock.yaml and ${folder}/package.json differ in ${name}: run pnpm install`)
  }
}

for (const fault of faults) console.error(fault)
if (faults.length > 0) process.exit(1)
