import { existsSync, readdirSync } from "node:fs"
import { availableParallelism } from "node:os"
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

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["@mahalla/source", "node"] } },
  test: {
    // Once per run, whichever projects run.
    globalSetup: ["./scripts/vitest-postgres.ts"],
    // Vitest leaves one core free, which on two is half of them; much of a test is waiting for another process.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [...folders, "scripts"].map((root) => ({
      extends: true as const,
      test: {
        name: root.replace(/^packages\//, ""),
        root,
        include: root === "scripts" ? ["*.test.mjs"] : ["src/**/*.test.ts", "test/**/*.test.ts"],
        testTimeout: 60_000,
        hookTimeout: 120_000
      }
    }))
  }
})
