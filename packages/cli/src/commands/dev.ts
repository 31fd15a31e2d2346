/** `mahalla dev`: a running city with demo data, in one process, with nothing installed but Node. */
import * as Effect from "effect/Effect"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { drainOnSignal, serve } from "@mahalla/server"
import { attempt } from "../failure.ts"
import { linkFor, signInAddress } from "../links.ts"
import { makeOutput } from "../output.ts"
import { forgetRunning, loadProject, noteRunning } from "../project.ts"
import { root } from "../root.ts"

export const dev = Command.make(
  "dev",
  {
    port: Flag.Int("port").pipe(
      Flag.withDefault(-1),
      Flag.withDescription("HTTP port. Default: PORT, else 8080 or the next free one")
    ),
    verbose: Flag.Boolean("verbose").pipe(Flag.withDefault(false), Flag.withDescription("Log every request"))
  },
  Effect.fn(function* ({ port, verbose }) {
    const { dir, json } = yield* root
    const out = makeOutput(json)
    const began = performance.now()
    yield* attempt(async () => {
      const project = await loadProject(dir, "dev")
      const city = project.city({
        mode: "dev",
        logLevel: verbose ? "Debug" : "Info",
        logFormat: json ? "json" : "readable",
        onProgress: ({ done, step, total }) =>
          out.progress(step === "migrate" ? "Preparing database" : step, done, total)
      })
      await city.start()
      const { demo } = project.config
      const wanted = port >= 0 ? port : process.env["PORT"] === undefined ? undefined : Number(process.env["PORT"])
      const open = async () => {
        // Another server may be starting on the same database at this moment.
        if (demo !== undefined) await city.admin.alone("demo", () => demo.seed(city))
        return serve(city, { port: wanted ?? 8080, nextFree: wanted === undefined })
      }
      const serving = await open().catch(async (error: unknown) => {
        // A city that nobody can reach would keep the process, and its database, alive.
        await city.close()
        throw error
      })
      noteRunning(project.home, { url: serving.url, pid: process.pid })
      drainOnSignal(serving, () => {
        forgetRunning(project.home)
        out.say("Closing: letting running work end …")
      })
      const seconds = ((performance.now() - began) / 1000).toFixed(1)
      // The city runs; without an administrator it only has nobody to sign in yet.
      const link =
        demo === undefined
          ? undefined
          : await linkFor(city, demo.tenant, "municipality-admin").catch((error: unknown) => {
              out.say(`  ${error instanceof Error ? error.message : String(error)}`)
              return undefined
            })
      const address =
        demo === undefined || link === undefined ? undefined : signInAddress(serving.url, demo.tenant, link)
      out.say(`\nMahalla is ready after ${seconds} s at ${serving.url}`, {
        ready: true,
        url: serving.url,
        seconds: Number(seconds),
        ...(address === undefined ? {} : { adminLink: address })
      })
      const { escrowedAt } = await city.admin.keys.master()
      if (json) return
      if (link !== undefined)
        out.say(`  First administrator (${link.name}), good for 15 minutes and one use:\n  ${address}`)
      const tries =
        demo?.offence === undefined
          ? []
          : [
              "npm run demo -- --video FILE      the main job with any video, step by step",
              "npm run demo -- --photo FILE",
              `curl ${serving.url}/v1/offences`
            ]
      out.say(
        [
          "",
          `  API and docs   ${serving.url}/docs`,
          ...tries.map((line, place) => `  ${place === 0 ? "Try" : "   "}            ${line}`),
          "  Stop           Ctrl-C"
        ].join("\n")
      )
      if (escrowedAt === null)
        out.say(
          "  Without its secret this city's database cannot be read. Keep a copy elsewhere: npx mahalla key export"
        )
    })
    return yield* Effect.never
  })
).pipe(Command.withDescription("Run the city of this folder for development, with demo data"))
