// Packs every public package as it would be published, into .cache/packed, and looks at what came out: publint, types as a
// consumer's resolver sees them, the licence, no tests. Run directly it does both; other scripts use the tarballs.
import { execFile } from "node:child_process"
import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { pathToFileURL } from "node:url"
import { bin, publicPackages, root } from "./workspace.mjs"

const run = promisify(execFile)
export const packed = join(root, ".cache", "packed")

/** The tarball of a package, `@mahalla/s3` at version 0.1.0 → `mahalla-s3-0.1.0.tgz`. */
export const tarball = ({ name, version }) => join(packed, `${name.replace("@", "").replace("/", "-")}-${version}.tgz`)

export const pack = async () => {
  rmSync(packed, { recursive: true, force: true })
  mkdirSync(packed, { recursive: true })
  const contents = new Map()
  for (const entry of publicPackages) {
    const { stdout } = await run(bin("pnpm"), ["pack", "--json", "--pack-destination", packed], {
      cwd: join(root, entry.folder),
      shell: process.platform === "win32"
    })
    const [report] = [JSON.parse(stdout)].flat()
    contents.set(
      entry.name,
      report.files.map((file) => file.path)
    )
  }
  return contents
}

const look = async (entry, files) => {
  const faults = []
  if (!files.includes("LICENSE")) faults.push("has no LICENSE")
  for (const file of files)
    if (/\.test\.|(^|\/)test\/|tsbuildinfo/.test(file)) faults.push(`carries ${file}; leave it out in "files"`)
  for (const [tool, args] of [
    ["publint", ["--strict"]],
    ["attw", ["--profile", "esm-only", "--format", "ascii", "--no-color", "--no-emoji"]]
  ])
    try {
      await run(bin(tool), [tarball(entry), ...args], { cwd: root, shell: process.platform === "win32" })
    } catch (error) {
      faults.push(`${tool}:\n${error.stdout}${error.stderr}`)
    }
  console.log(`${faults.length === 0 ? "ok  " : "FAIL"} ${entry.name}, ${files.length} files`)
  for (const fault of faults) console.log(`     ${fault}`)
  return faults.length === 0
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const contents = await pack()
  const rest = [...publicPackages]
  const verdicts = []
  const worker = async () => {
    for (let entry = rest.shift(); entry; entry = rest.shift())
      verdicts.push(await look(entry, contents.get(entry.name)))
  }
  await Promise.all([worker(), worker()])
  if (verdicts.includes(false)) process.exit(1)
}
