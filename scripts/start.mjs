// `npm start`: the e-jarima example, a running city with demo data. The server is a process group of its own, so that a signal to
// npm's group, or to this process alone, or to both, reaches it once; its exit code becomes ours.
import { spawn } from "node:child_process"
import { constants } from "node:os"
import { join } from "node:path"
import { root } from "./workspace.mjs"

const windows = process.platform === "win32"
const server = spawn(
  process.execPath,
  [
    "--conditions=@mahalla/source",
    "--disable-warning=ExperimentalWarning",
    "--import",
    new URL("./end-with-parent.mjs", import.meta.url).href,
    "--import",
    new URL("./stripped.mjs", import.meta.url).href,
    "packages/cli/src/main.ts",
    "dev",
    "--dir",
    "examples/e-jarima",
    ...process.argv.slice(2)
  ],
  {
    cwd: root,
    detached: !windows,
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    // Compiled sources of the last start: the second one is ready in a fraction of the time.
    env: { NODE_COMPILE_CACHE: join(root, "node_modules", ".cache", "node"), ...process.env }
  }
)

let forwarded = -Infinity
/** Says first that this is the stop, so that our own end is not taken for a second one. */
const stop = (signal) => {
  // npm passes on what its group got already. A second one after a moment is a person who has lost patience.
  if (performance.now() - forwarded < 1000) return
  forwarded = performance.now()
  server.send("stop", () => server.kill(signal))
}
// A closed terminal ends the server like any stop: drained.
for (const [signal, meant] of Object.entries({ SIGINT: "SIGINT", SIGTERM: "SIGTERM", SIGHUP: "SIGTERM" }))
  process.on(signal, () => stop(meant))

// npm stopped alone takes only its shell with it: then our parent is another one.
const parent = process.ppid
if (process.env.npm_lifecycle_event !== undefined)
  setInterval(() => {
    if (process.ppid !== parent && forwarded < 0) stop("SIGTERM")
  }, 300).unref()

server.on("error", (error) => {
  console.error(`The server did not start: ${error.message}`)
  process.exit(1)
})
server.on("exit", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
