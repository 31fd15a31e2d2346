/**
 * Runs one benchmark: `npm run bench -- jobs`. A benchmark is a file of this folder that exports `run`; it prints one line of JSON per
 * figure. Ratios are the gate; absolute figures belong to the machine.
 */
import { readdirSync } from "node:fs"
import { delimiter, dirname } from "node:path"
import { ensureService } from "../scripts/services/debian.ts"

const benchmarks = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".ts") && !["run.ts", "measure.ts"].includes(file))
  .map((file) => file.slice(0, -3))

const [name, ...rest] = process.argv.slice(2)
if (name === undefined || !benchmarks.includes(name)) {
  console.error(`Which benchmark? One of: ${benchmarks.join(", ")}.`)
  process.exit(2)
}
// A city with the default plugins does not start without it.
const { programs } = await ensureService("ffmpeg")
process.env["PATH"] = [dirname(programs["ffmpeg"]!), process.env["PATH"]].join(delimiter)
const module = (await import(`./${name}.ts`)) as { readonly run?: (args: ReadonlyArray<string>) => Promise<void> }
await module.run?.(rest)
