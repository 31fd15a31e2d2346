#!/usr/bin/env node
/**
 * `mahalla-audit EXPORT --checkpoint FILE [--key FILE-or-URL] [--json]`: the verifier alone. It needs Node and nothing else; whoever does
 * not trust the city's program reads these few files and runs them.
 */
import { exitCodes } from "./findings.ts"
import { runVerify } from "./run.ts"

const usage = "Usage: mahalla-audit EXPORT --checkpoint FILE [--key FILE-or-JWKS-URL] [--json]"

const print = (line: string) => process.stdout.write(`${line}\n`)

/** Flags with a value by their name, and what is none; undefined when a value is missing or nobody knows the flag. */
const parsed = (args: ReadonlyArray<string>) => {
  const flags = new Map<string, string>()
  const files: Array<string> = []
  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!
    if (arg === "--json") flags.set(arg, "")
    else if (arg === "--checkpoint" || arg === "--key") {
      const value = args[++at]
      if (value === undefined) return undefined
      flags.set(arg, value)
    } else if (arg.startsWith("-")) return undefined
    else files.push(arg)
  }
  return { files, flags }
}

const main = async (): Promise<number> => {
  const given = parsed(process.argv.slice(2))
  const checkpoints = given?.flags.get("--checkpoint")
  const [file, ...more] = given?.files ?? []
  if (file === undefined || checkpoints === undefined || more.length > 0) {
    print(usage)
    return exitCodes.usage
  }
  const key = given?.flags.get("--key")
  const json = given?.flags.has("--json") === true
  return runVerify({ export: file, checkpoints, ...(key === undefined ? {} : { key }) }, json, print)
}

process.exitCode = await main()
