// Loaded before the server by start.mjs, and before the programs that tests start: keeps the sources without their types from one start to the
// next. Node keeps compiled code (NODE_COMPILE_CACHE), but would take the types out of two hundred files anew each time, a quarter of a warm start.
import { createHash } from "node:crypto"
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import * as module from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { root } from "./workspace.mjs"

const file = join(root, "node_modules", ".cache", `stripped-${process.versions.node}.json`)

/** Address → [hash of the source, source without types]. */
const read = () => {
  try {
    return JSON.parse(readFileSync(file, "utf8"))
  } catch {
    return {}
  }
}

const known = read()
let changed = false

// The programs of an older Node have no types to take out.
module.registerHooks?.({
  load: (url, context, next) => {
    if (!url.startsWith("file:") || !url.endsWith(".ts") || url.includes("/node_modules/")) return next(url, context)
    const text = readFileSync(fileURLToPath(url), "utf8")
    const hash = createHash("sha1").update(text).digest("base64")
    if (known[url]?.[0] !== hash) {
      known[url] = [hash, module.stripTypeScriptTypes(text)]
      changed = true
    }
    return { format: "module", source: known[url][1], shortCircuit: true }
  }
})

const write = () => {
  if (!changed) return
  changed = false
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(`${file}.${process.pid}`, JSON.stringify(known))
    renameSync(`${file}.${process.pid}`, file)
  } catch {
    // A folder that cannot be written to makes the next start slower, not wrong.
  }
}

// When the start is over and there is time, and at the end for what was loaded later.
setTimeout(write, 10_000).unref()
process.on("exit", write)
