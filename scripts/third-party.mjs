// The engine as somebody outside meets it: in a folder of its own, with the packed tarballs and nothing of this workspace, plugins
// and a module are compiled with declarations, held against the published conformance suites by node:test, and every entry of every
// package is imported by plain Node. Needs no network: the workspace's lockfile and package store have all there is to install.
import { spawnSync } from "node:child_process"
import { copyFileSync, cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { parse, stringify } from "yaml"
import { pack, tarball } from "./pack.mjs"
import { bin, filesIn, manifest, publicPackages, root } from "./workspace.mjs"

await pack()
const scratch = realpathSync(mkdtempSync(join(tmpdir(), "mahalla-third-party-")))
process.once("exit", () => rmSync(scratch, { recursive: true, force: true }))
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130))

const run = (title, command, args) => {
  console.log(`\n· ${title}`)
  const { status, error } = spawnSync(command, args, {
    cwd: scratch,
    stdio: ["ignore", "inherit", "inherit"],
    shell: process.platform === "win32" && command.endsWith(".cmd"),
    // Outside means outside: no condition of ours, no binaries of ours.
    env: { ...process.env, NODE_OPTIONS: "", CI: "true" }
  })
  if (status !== 0) {
    console.error(`${title}: failed${error ? ` (${error.message})` : ""}`)
    process.exit(1)
  }
}

const { devDependencies } = manifest(".")
const tarballs = Object.fromEntries(publicPackages.map((entry) => [entry.name, `file:${tarball(entry)}`]))
writeFileSync(
  join(scratch, "package.json"),
  JSON.stringify({
    name: "acme-shelf",
    private: true,
    type: "module",
    dependencies: { ...tarballs, effect: devDependencies.effect },
    devDependencies: { typescript: devDependencies.typescript, "@types/node": devDependencies["@types/node"] }
  })
)
// Which dependencies may run scripts is as in the workspace. The packages are not published when they are checked, so their need for
// each other is met by the tarballs too.
const { allowBuilds } = parse(readFileSync(join(root, "pnpm-workspace.yaml"), "utf8"))
writeFileSync(
  join(scratch, "pnpm-workspace.yaml"),
  stringify({ packages: [], pmOnFail: "ignore", allowBuilds, overrides: tarballs })
)
// Versions come from the workspace's lockfile, which pnpm completes by what the tarballs ask for.
copyFileSync(join(root, "pnpm-lock.yaml"), join(scratch, "pnpm-lock.yaml"))
cpSync(join(root, "scripts", "third-party"), scratch, { recursive: true })
writeFileSync(
  join(scratch, "entries.mjs"),
  publicPackages
    .flatMap(({ name, exports }) =>
      Object.entries(exports)
        .filter(([, target]) => target !== null)
        .map(([entry]) => name + entry.slice(1))
    )
    .map((entry) => `console.log(${JSON.stringify(entry)}, Object.keys(await import(${JSON.stringify(entry)})).length)`)
    .join("\n")
)

// A temporary folder may lie on another disk, where pnpm would begin a store of its own.
const { storeDir } = JSON.parse(readFileSync(join(root, "node_modules", ".modules.yaml"), "utf8"))
run("install the tarballs", bin("pnpm"), [
  "install",
  "--prefer-offline",
  "--no-frozen-lockfile",
  "--reporter=append-only",
  "--store-dir",
  dirname(storeDir)
])
run("import every entry with plain Node", process.execPath, ["entries.mjs"])
run("compile with declarations", process.execPath, [
  join(scratch, "node_modules", "typescript", "bin", "tsc"),
  "-p",
  "."
])
const tests = filesIn(join(scratch, "dist")).filter((file) => file.endsWith(".test.js"))
run("run the conformance suites with node:test", process.execPath, [
  "--test",
  "--test-reporter=dot",
  ...tests.map((file) => join("dist", file))
])
