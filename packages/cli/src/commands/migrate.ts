/** `mahalla migrate`: brings the database to this version, or tells what would be done. */
import * as Effect from "effect/Effect"
import * as Command from "effect/cli/Command"
import { attempt } from "../failure.ts"
import { makeOutput } from "../output.ts"
import { loadProject } from "../project.ts"
import { root } from "../root.ts"

export const migrate = Command.make(
  "migrate",
  {},
  Effect.fn(function* () {
    const { dir, json } = yield* root
    const out = makeOutput(json)
    yield* attempt(async () => {
      const project = await loadProject(dir, "production")
      let applied = 0
      const city = project.city({
        mode: "dev",
        only: [],
        logLevel: "Warn",
        onProgress: ({ done, total }) => {
          applied = done
          out.progress("Migrating", done, total)
        }
      })
      await city.start()
      await city.close()
      out.say(applied === 0 ? "The database is up to date." : `Applied ${applied} migrations.`, { applied })
    })
  })
).pipe(Command.withDescription("Bring the database to this version's schema"))
