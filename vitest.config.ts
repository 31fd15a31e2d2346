import { existsSync, readdirSync } from "node:fs"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const folders = ["packages", "packages/plugins", "examples"].flatMap((parent) =>
  existsSync(parent)
    ? readdirSync(parent)
        .map((name) => `${parent}/${name}`)
        .filter((path) => existsSync(`${path}/package.json`))
    : []
)
// Without "module", which Node itself does not know: packages keep code for bundlers behind it.
const conditions = ["@mahalla/source", "node", "development|production"]

/** Whose files leave nothing behind in the modules that they share. */
const shared = new Set(["packages/core", "packages/server"])
const elsewhere: Readonly<Record<string, Array<string>>> = { scripts: ["*.test.mjs"], bench: ["*/*.test.ts"] }
const environment = { resolve: { conditions, externalConditions: ["@mahalla/source", "node"] } }

// What was compiled once is not compiled again by each worker, nor by each program that a test starts; those would take the types out as well.
process.env["NODE_COMPILE_CACHE"] ??= fileURLToPath(new URL("node_modules/.cache/node", import.meta.url))
const stripped = `${process.env["NODE_OPTIONS"] ?? ""} --import=${new URL("scripts/stripped.mjs", import.meta.url).href}`

export default defineConfig({
  resolve: { conditions },
  ssr: environment,
  // Vitest's own, for the global setup: where nothing is built yet it needs the sources as well.
  environments: { __vitest__: environment },
  test: {
    // Once per run, whichever projects run.
    globalSetup: ["./scripts/vitest-postgres.ts"],
    env: { NODE_OPTIONS: stripped.trim() },
    // Vitest leaves one core free, which on two is half of them; much of a test is waiting for another process, a third of the time with two workers.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    projects: [...folders, ...Object.keys(elsewhere)].map((root) => ({
      extends: true as const,
      test: {
        name: root.replace(/^packages\//, ""),
        root,
        include: elsewhere[root] ?? ["src/**/*.test.ts", "test/**/*.test.ts"],
        // A file that takes the modules over from the one before does not load a thousand of them again, a third of its time.
        isolate: !shared.has(root),
        testTimeout: 180_000,
        hookTimeout: 180_000
      }
    }))
  }
})
