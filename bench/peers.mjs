// Installs what we are measured against into `.cache/peers`, outside the workspace: none of it is a dependency of ours.
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { delimiter, dirname, join } from "node:path"
import { pathToFileURL } from "node:url"

const cache = join(import.meta.dirname, "../.cache")

// `scripts`: the packages' own install scripts run, as Directus needs them for a native addon.
const sets = {
  queue: {
    folder: join(cache, "bench-peers"),
    packages: { "graphile-worker": "0.18.0", "pg-boss": "12.35.0", pg: "8.23.1" }
  },
  "node-red": { folder: join(cache, "peers/node-red"), packages: { "node-red": "5.0.7" } },
  floor: { folder: join(cache, "peers/floor"), packages: { fastify: "5.12.8" } },
  parse: {
    folder: join(cache, "peers/parse"),
    packages: { "parse-server": "9.10.0", "@parse/fs-files-adapter": "3.0.0", express: "5.3.0" }
  },
  directus: { folder: join(cache, "peers/directus"), packages: { directus: "12.3.1" }, scripts: true }
}

/** Where a set lies. */
export const peerFolder = (set) => sets[set].folder

/** Installs once for each set of versions; `node`: with the npm beside another Node. */
export const ensurePeers = (set = "queue", node = process.execPath) => {
  const { folder, packages, scripts = false } = sets[set]
  const stamp = join(folder, "stamp")
  const key = createHash("sha256").update(JSON.stringify(packages)).digest("hex")
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === key) return
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, dependencies: packages }))
  const { status } = spawnSync(
    "npm",
    ["install", "--no-audit", "--no-fund", ...(scripts ? [] : ["--ignore-scripts"])],
    {
      cwd: folder,
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, PATH: dirname(node) + delimiter + process.env["PATH"] },
      shell: process.platform === "win32"
    }
  )
  if (status !== 0) throw new Error("The peers could not be installed; see the lines above, then try again.")
  writeFileSync(stamp, key)
}

/** A peer's module. */
export const importPeer = (name, set = name in sets.queue.packages ? "queue" : "floor") =>
  import(pathToFileURL(createRequire(join(sets[set].folder, "x.js")).resolve(name)).href)

if (process.argv[1] === import.meta.filename) for (const set of process.argv.slice(2)) ensurePeers(set)
