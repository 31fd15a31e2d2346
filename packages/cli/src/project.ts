/** The deployment in a folder: its configuration file, its home, its city. */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { type City, type CityConfig, createCity } from "@mahalla/core"
import { type ConfigFile, type DeploymentConfig, environmentOf } from "@mahalla/server"
import { CommandError } from "./failure.ts"

export interface Project {
  readonly folder: string
  readonly home: string
  readonly config: DeploymentConfig
  /** From the configuration or the environment, and so not in a file of ours. */
  readonly secretIsGiven: boolean
  /** Undefined before the first start. */
  readonly secret: () => string | undefined
  readonly city: (
    options: Pick<CityConfig, "mode" | "only" | "migrate" | "onProgress" | "logLevel" | "logFormat" | "secret">
  ) => City
}

const names = ["mahalla.config.ts", "mahalla.config.mjs", "mahalla.config.js"]

/** Loads the configuration file; it is imported from the project's own folder, so its plugins are the project's. */
export const loadProject = async (dir: string, mode: "dev" | "production"): Promise<Project> => {
  const folder = resolve(dir)
  const file = names.map((name) => join(folder, name)).find((path) => existsSync(path))
  if (file === undefined) {
    throw new CommandError({
      message: `There is no mahalla.config.ts in ${folder}. Begin a city with: mahalla init my-city, or name its folder with --dir.`,
      exitCode: 64
    })
  }
  const home = resolve(process.env["MAHALLA_HOME"] ?? join(folder, ".mahalla"))
  const loaded = (await import(pathToFileURL(file).href)) as { readonly default?: ConfigFile }
  if (typeof loaded.default !== "function") {
    throw new CommandError({ message: `${file} must export default defineConfig(…) of @mahalla/server.`, exitCode: 64 })
  }
  const config = loaded.default(environmentOf(process.env, mode))
  const secret = config.secret ?? process.env["MAHALLA_SECRET"]
  const previousSecret = config.previousSecret ?? process.env["MAHALLA_SECRET_PREVIOUS"]
  const metricsToken = config.metricsToken ?? process.env["MAHALLA_METRICS_TOKEN"]
  return {
    folder,
    home,
    config,
    secretIsGiven: secret !== undefined,
    secret: () => {
      const file = join(home, "secret")
      return secret ?? (existsSync(file) ? readFileSync(file, "utf8").trim() : undefined)
    },
    city: (options) => {
      const { demo: _, ...rest } = config
      const given = secret === undefined ? {} : { secret }
      return createCity({
        ...rest,
        ...(previousSecret === undefined ? {} : { previousSecret }),
        ...(metricsToken === undefined ? {} : { metricsToken }),
        ...given,
        ...options,
        home
      })
    }
  }
}

interface Running {
  readonly url: string
  readonly pid: number
}

const runningFile = (home: string) => join(home, "running.json")

/** Where other commands find the server of this folder. */
export const noteRunning = (home: string, running: Running): void =>
  writeFileSync(runningFile(home), JSON.stringify(running))
export const forgetRunning = (home: string): void => rmSync(runningFile(home), { force: true })

/** What a killed server left behind names a process that may be another one by now: only who answers is running. */
export const findRunning = async (home: string): Promise<Running | undefined> => {
  try {
    const running = JSON.parse(readFileSync(runningFile(home), "utf8")) as Running
    process.kill(running.pid, 0)
    const answer = await fetch(`${running.url}/health/live`, { signal: AbortSignal.timeout(5_000) })
    return answer.ok && ((await answer.json()) as { readonly status?: string }).status === "up" ? running : undefined
  } catch {
    return undefined
  }
}
