/** `mahalla doctor`: the first thing to ask when something is wrong. */
import { existsSync, statfsSync, statSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { CityError, version } from "@mahalla/core"
import * as Effect from "effect/Effect"
import * as Command from "effect/cli/Command"
import { attempt, CommandError } from "../failure.ts"
import { makeOutput } from "../output.ts"
import { findRunning, loadProject, type Project } from "../project.ts"
import { root } from "../root.ts"

interface Check {
  readonly name: string
  readonly state: "good" | "warning" | "bad"
  readonly detail: string
}

const nodeCheck = (): Check => {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
  const good = major > 22 || (major === 22 && minor >= 19)
  return {
    name: "Node",
    state: good ? "good" : "bad",
    detail: good ? process.versions.node : `${process.versions.node}; install 22.19 or newer`
  }
}

const diskCheck = (home: string): Check => {
  const at = existsSync(home) ? home : process.cwd()
  const { bavail, bsize } = statfsSync(at)
  const free = bavail * bsize
  const text = `${(free / 2 ** 30).toFixed(1)} GiB free at ${at}`
  return {
    name: "Disk",
    state: free < 2 ** 30 ? "bad" : free < 10 * 2 ** 30 ? "warning" : "good",
    detail: free < 2 ** 30 ? `${text}; make room or move MAHALLA_HOME` : text
  }
}

const secretCheck = (home: string): Check => {
  const file = join(home, "secret")
  if (process.env["MAHALLA_SECRET"] !== undefined)
    return { name: "Secret", state: "good", detail: "from MAHALLA_SECRET" }
  if (!existsSync(file))
    return { name: "Secret", state: "warning", detail: "is made at the first start; keep a copy with the backups" }
  const open = process.platform !== "win32" && (statSync(file).mode & 0o077) !== 0
  return {
    name: "Secret",
    state: open ? "bad" : "good",
    detail: open ? `${file} can be read by others; run: chmod 600 ${file}` : `${file}; keep a copy with the backups`
  }
}

/** Two copies of Effect break the identity of services in ways nobody understands. */
const effectCheck = (folder: string): Check => {
  const here = createRequire(import.meta.url).resolve("effect/package.json")
  try {
    const there = createRequire(join(folder, "mahalla.config.ts")).resolve("effect/package.json")
    return there === here
      ? { name: "Effect", state: "good", detail: "one copy" }
      : {
          name: "Effect",
          state: "bad",
          detail: `two copies: ${here} and ${there}. Remove node_modules and the lock file, and install again.`
        }
  } catch {
    return { name: "Effect", state: "good", detail: "one copy" }
  }
}

/** Opens the city without doing any work: database, schema, plugins. */
const cityChecks = async (project: Project): Promise<ReadonlyArray<Check>> => {
  const city = project.city({ mode: "dev", only: [], migrate: false, logLevel: "Error" })
  try {
    await city.start()
    const health = await city.admin.health()
    const master = await city.admin.keys.master()
    return [
      {
        name: "Database",
        state: health.database ? "good" : "bad",
        detail: health.database ? "answers, schema up to date" : "does not answer"
      },
      {
        name: "Master key",
        state: master.escrowedAt === null || master.left > 0 ? "warning" : "good",
        detail: `${master.id} opens this database; ${
          master.escrowedAt === null
            ? "nobody has confirmed that the secret is kept elsewhere, and without it a backup is worth nothing: mahalla key export"
            : `kept elsewhere since ${master.escrowedAt.toISOString().slice(0, 10)}`
        }${master.left === 0 ? "" : `; ${master.left} keys wait for the change of secret, keep MAHALLA_SECRET_PREVIOUS until then`}`
      },
      ...health.plugins.map((plugin): Check => ({
        name: plugin.instance,
        state: plugin.status === "up" ? "good" : plugin.status === "degraded" ? "warning" : "bad",
        detail: plugin.detail ?? plugin.status
      })),
      ...health.queues.map((queue): Check => ({
        name: `Jobs ${queue.topic}`,
        state: queue.dead > 0 || queue.oldestReady > 600_000 ? "warning" : "good",
        detail: `${queue.ready} ready, ${queue.delayed} delayed, ${queue.leased} running, ${queue.dead} dead${queue.dead > 0 ? "; read them at /v1/dead-letters" : ""}`
      })),
      ...health.consumers.map((consumer): Check => ({
        name: `Consumer ${consumer.consumer}`,
        state: "warning",
        detail: `has failed ${consumer.failures} times in ${consumer.tenant} at the event after position ${consumer.position}, and tries again: ${consumer.error.split("\n")[0]}. Read the event at /v1/event-log?after=${consumer.position}&limit=1`
      }))
    ]
  } catch (error) {
    return [{ name: "City", state: "bad", detail: error instanceof CityError ? error.message : String(error) }]
  } finally {
    await city.close()
  }
}

export const doctor = Command.make(
  "doctor",
  {},
  Effect.fn(function* () {
    const { dir, json } = yield* root
    const out = makeOutput(json)
    const bad = yield* attempt(async () => {
      const project = await loadProject(dir, "dev")
      const running = await findRunning(project.home)
      const checks: ReadonlyArray<Check> = [
        { name: "Mahalla", state: "good", detail: version },
        nodeCheck(),
        effectCheck(project.folder),
        diskCheck(project.home),
        secretCheck(project.home),
        {
          name: "Server",
          state: "good",
          detail: running === undefined ? "not running" : `running at ${running.url}, process ${running.pid}`
        },
        ...(await cityChecks(project))
      ]
      const marks = { good: "✓", warning: "!", bad: "✗" }
      for (const check of checks)
        out.say(`${marks[check.state]} ${check.name.padEnd(30)} ${check.detail}`, { ...check })
      return checks.filter((check) => check.state === "bad").length
    })
    if (bad > 0)
      return yield* new CommandError({ message: `${bad} checks are bad; see above for what to do.`, exitCode: 1 })
  })
).pipe(Command.withDescription("Check this city: versions, disk, secret, database, plugins, jobs"))
