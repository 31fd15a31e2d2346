/** The deployment's one secret, from the configuration or from its file. */
import { randomBytes } from "node:crypto"
import { chmodSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type CityConfig, cityError } from "./config.ts"

const readOrMake = (home: string): string => {
  const file = join(home, "secret")
  mkdirSync(home, { recursive: true, mode: 0o700 })
  try {
    return readFileSync(file, "utf8").trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error
  }
  // A finished file is linked into place, so that two servers starting at once end up with the same one.
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, `${randomBytes(48).toString("base64url")}\n`, { mode: 0o600 })
  try {
    linkSync(draft, file)
    chmodSync(file, 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
  } finally {
    rmSync(draft, { force: true })
  }
  return readFileSync(file, "utf8").trim()
}

/** The secret that was there before; undefined where none is given. */
export const previousSecret = (config: CityConfig) =>
  Effect.try({
    try: () => {
      const file = join(config.home, "secret.previous")
      if (config.previousSecret !== undefined) return Redacted.make(config.previousSecret)
      return config.secret === undefined && existsSync(file)
        ? Redacted.make(readFileSync(file, "utf8").trim())
        : undefined
    },
    catch: (cause) => cityError("Config", `The file secret.previous in ${config.home} cannot be read.`, cause)
  })

export const deploymentSecret = (config: CityConfig) =>
  Effect.try({
    try: () => config.secret ?? readOrMake(config.home),
    catch: (cause) =>
      cityError(
        "Config",
        `The secret in ${config.home} cannot be read or made: ${String(cause)}. Check the rights of the folder.`,
        cause
      )
  }).pipe(
    Effect.flatMap((secret) =>
      secret.length >= 32
        ? Effect.succeed(Redacted.make(secret))
        : Effect.fail(
            cityError("Config", "The secret is shorter than 32 characters. Make one with: openssl rand -base64 48")
          )
    )
  )
