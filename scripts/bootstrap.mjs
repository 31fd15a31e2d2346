// Runs on any Node >= 18 before anything is installed, so it uses no dependency: installs the workspace once, with the pinned
// pnpm and the repository's own Node, and again only when a manifest or the lockfile has changed.
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const shell = process.platform === "win32"
const modules = join(root, "node_modules")
const stamp = join(modules, ".bootstrap")
const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

const folders = ["packages", "packages/plugins", "examples"].flatMap((parent) =>
  existsSync(join(root, parent))
    ? readdirSync(join(root, parent)).map((name) => join(parent, name, "package.json"))
    : []
)
const hash = createHash("sha256").update(process.platform + process.arch)
for (const file of ["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", "bench/package.json", ...folders.sort()])
  if (existsSync(join(root, file))) hash.update(readFileSync(join(root, file)))
const key = hash.digest("hex")
const whole = () => [".modules.yaml", ".bin"].every((name) => existsSync(join(modules, name)))
const installed = () => whole() && existsSync(stamp) && readFileSync(stamp, "utf8") === key

/** One at a time: of two commands started together the second waits for the first one's installation. */
const lock = join(root, ".cache", "bootstrap.lock")
const lives = (pid) => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === "EPERM"
  }
}
const locked = (body) => {
  mkdirSync(dirname(lock), { recursive: true })
  for (let told = false; ; told = true) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" })
      break
    } catch (error) {
      if (error.code !== "EEXIST") throw error
    }
    // Whoever died leaves a lock; an empty one is being written this very moment; an old one's number may be somebody else's by now.
    const holder = existsSync(lock) ? Number(readFileSync(lock, "utf8")) : 0
    const age = existsSync(lock) ? Date.now() - statSync(lock).mtimeMs : 0
    if ((holder > 0 && !lives(holder)) || age > 20 * 60_000) rmSync(lock, { force: true })
    else if (!told) console.error("Another command is installing; waiting for it …")
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
  }
  try {
    return body()
  } finally {
    rmSync(lock, { force: true })
  }
}

const install = () => {
  if (installed()) return 0
  console.error("Installing what Mahalla needs (once) …")
  // From here on the folder is neither the old nor the new installation.
  rmSync(stamp, { force: true })
  // What a killed installation left may even lack the pnpm that npx would take from it.
  if (!whole()) rmSync(modules, { recursive: true, force: true })
  const { status } = spawnSync(
    "npx",
    ["--yes", packageManager, "install", "--frozen-lockfile", "--config.confirmModulesPurge=false"],
    { cwd: root, stdio: ["ignore", "inherit", "inherit"], shell }
  )
  if (status === 0) writeFileSync(stamp, key)
  else
    console.error("The installation failed; see the lines above. Check the network, then run the same command again.")
  return status ?? 1
}
const status = installed() ? 0 : locked(install)
if (status !== 0) process.exit(status)

// npm puts node_modules/.bin first in PATH, so the scripts that follow run on the Node that is found here.
const own = join(modules, ".bin", shell ? "node.cmd" : "node")
const { stdout } = spawnSync(existsSync(own) ? own : "node", ["-p", "process.versions.node"], {
  cwd: root,
  encoding: "utf8",
  shell
})
const version = String(stdout).trim()
const [major, minor] = version.split(".").map(Number)
if (!(major > 22 || (major === 22 && minor >= 19))) {
  console.error(
    `Node 22.19 or newer is needed, found ${version || "none"}. Install a newer Node, then run the same command again.`
  )
  process.exit(1)
}
