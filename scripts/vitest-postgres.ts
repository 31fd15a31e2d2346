/**
 * One PostgreSQL per test run, provided to every test as `inject("postgresUrl")`: the address of a superuser. It is the embedded
 * one in a temporary folder, without fsync, or the server that MAHALLA_TEST_DATABASE_URL names.
 */
import { createHash, randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { cp, mkdir, mkdtemp, readFile, readdir, rename, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type { TestProject } from "vitest/node"
import { launchPostgres } from "../packages/plugins/postgres/src/launcher/index.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** `postgres://…` of a superuser, for `freshDatabase`. */
    postgresUrl: string
  }
}

const launch = (folder: string, scope: Scope.Scope) =>
  Scope.provide(launchPostgres({ dataFolder: join(folder, "postgres"), durable: false, maxConnections: 300 }), scope)

/** A data folder that was made once and is copied for each run: half a second less each time. */
const template = async (): Promise<string> => {
  const root = fileURLToPath(new URL("..", import.meta.url))
  const manifest = await readFile(join(root, "packages/plugins/postgres/package.json"))
  const key = createHash("sha256").update(manifest).digest("hex").slice(0, 12)
  const folder = join(root, "node_modules/.cache/mahalla", `postgres-${key}-${process.getuid?.() ?? "user"}`)
  if (!existsSync(folder)) {
    const half = `${folder}.${randomBytes(6).toString("hex")}`
    await mkdir(half, { recursive: true })
    await Effect.runPromise(Effect.scoped(Effect.flatMap(Effect.scope, (scope) => launch(half, scope))))
    await rename(half, folder).catch(async (cause: unknown) => {
      await rm(half, { recursive: true, force: true })
      // Another run was first.
      if (!existsSync(folder)) throw cause
    })
  }
  return folder
}

const prefix = "mahalla-test-"

const lives = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** Stops the servers of runs that were killed, and removes their folders. */
const sweep = async () => {
  for (const name of await readdir(tmpdir())) {
    const pid = Number(new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1] ?? Number.NaN)
    if (!Number.isInteger(pid) || lives(pid)) continue
    const folder = join(tmpdir(), name)
    // To launch on a living server's folder is to take it over; the last user stops it.
    if (existsSync(join(folder, "postgres", "postmaster.pid")))
      await Effect.runPromise(
        Effect.ignore(Effect.scoped(Effect.flatMap(Effect.scope, (scope) => launch(folder, scope))))
      )
    await rm(folder, { recursive: true, force: true })
  }
}

export const setup = async (project: TestProject): Promise<(() => Promise<void>) | undefined> => {
  const outside = process.env["MAHALLA_TEST_DATABASE_URL"]
  if (outside !== undefined && outside !== "") {
    project.provide("postgresUrl", outside)
    return undefined
  }
  const folder = await mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`))
  await cp(await template(), folder, { recursive: true })
  const scope = Effect.runSync(Scope.make())
  const launched = await Effect.runPromise(launch(folder, scope))
  project.provide("postgresUrl", Redacted.value(launched.admin))
  return async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await rm(folder, { recursive: true, force: true })
    await sweep()
  }
}
