/** `mahalla demo`: the main job against the running server, with any real file. */
import { existsSync } from "node:fs"
import { resolve } from "node:path"
import type { City } from "@mahalla/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { play } from "../demo/play.ts"
import { attempt, CommandError } from "../failure.ts"
import { linkFor } from "../links.ts"
import { makeOutput } from "../output.ts"
import { findRunning, loadProject } from "../project.ts"
import { root } from "../root.ts"

/** Links for the two members of staff that the main job needs; the city is opened for nothing else. */
const bothLinks = async (city: City, tenant: string) => {
  await city.start()
  try {
    return await Promise.all([linkFor(city, tenant, "municipality-admin"), linkFor(city, tenant, "inspector")])
  } finally {
    await city.close()
  }
}

export const demo = Command.make(
  "demo",
  {
    video: Flag.String("video").pipe(Flag.optional, Flag.withDescription("A video file")),
    photo: Flag.String("photo").pipe(Flag.optional, Flag.withDescription("A photograph")),
    plate: Flag.String("plate").pipe(
      Flag.withDefault("01A777AA"),
      Flag.withDescription("What the inspector reads when the detector is not sure")
    ),
    patience: Flag.Int("patience").pipe(
      Flag.withDefault(180),
      Flag.withDescription("Seconds to wait for each step of the engine")
    )
  },
  Effect.fn(function* ({ patience, photo, plate, video }) {
    const { dir, json } = yield* root
    const out = makeOutput(json)
    yield* attempt(async () => {
      const given = Option.getOrUndefined(video) ?? Option.getOrUndefined(photo)
      if (given === undefined)
        throw new CommandError({ message: "Give a file: --video FILE or --photo FILE.", exitCode: 64 })
      // npm runs scripts in the package's folder; the file was named from where the person stands.
      const file = resolve(process.env["INIT_CWD"] ?? ".", given)
      if (!existsSync(file)) throw new CommandError({ message: `There is no file ${file}.`, exitCode: 66 })
      const project = await loadProject(dir, "dev")
      const running = await findRunning(project.home)
      if (running === undefined)
        throw new CommandError({
          message: `No server is running on ${project.home}. Start it in another terminal: npm start (or mahalla dev).`,
          exitCode: 69
        })
      const { demo: setting } = project.config
      if (setting?.offence === undefined)
        throw new CommandError({
          message: "This city has no demo data of traffic reports; add `demo` with an `offence` to mahalla.config.ts.",
          exitCode: 64
        })
      const city = project.city({ mode: "dev", only: [], migrate: false, logLevel: "Error" })
      const tokens = await bothLinks(city, setting.tenant)
      await play({
        base: running.url,
        tenant: setting.tenant,
        file,
        place: setting.place,
        offence: setting.offence,
        plate,
        adminToken: tokens[0].token,
        inspectorToken: tokens[1].token,
        out,
        patience: patience * 1000
      })
    })
  })
).pipe(Command.withDescription("Play the main job against the running server with a real file"))
