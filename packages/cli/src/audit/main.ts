#!/usr/bin/env node
/**
 * `mahalla-audit EXPORT --checkpoint FILE [--key FILE-or-URL] [--dropped-up-to POSITION] [--json]`: the verifier alone. It needs Node and
 * nothing else; whoever does not trust the city's program reads these few files and runs them.
 */
import { exitCodes } from "./findings.ts"
import { runVerify } from "./run.ts"

const usage =
  "Usage: mahalla-audit EXPORT --checkpoint FILE [--key FILE-or-JWKS-URL] [--dropped-up-to POSITION] [--json]"

const print = (line: string) => process.stdout.write(`${line}\n`)

/** Flags with a value by their name, and what is none; undefined when a value is missing or nobody knows the flag. */
const parsed = (args: ReadonlyArray<string>) => {
  const flags = new Map<string, string>()
  const files: Array<string> = []
  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!
    if (arg === "--json") flags.set(arg, "")
    else if (arg === "--checkpoint" || arg === "--key" || arg === "--dropped-up-to") {
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
  const droppedUpTo = Number(given?.flags.get("--dropped-up-to") ?? 0)
  if (file === undefined || checkpoints === undefined || more.length > 0 || !Number.isSafeInteger(droppedUpTo)) {
    print(usage)
    return exitCodes.usage
  }
  const key = given?.flags.get("--key")
  const json = given?.flags.has("--json") === true
  return runVerify({ export: file, checkpoints, droppedUpTo, ...(key === undefined ? {} : { key }) }, json, print)
}

process.exitCode = await main()
