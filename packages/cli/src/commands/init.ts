/** `mahalla init`: a folder with a city in it. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import { version } from "@mahalla/core"
import * as Effect from "effect/Effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import { attempt, CommandError } from "../failure.ts"
import { makeOutput } from "../output.ts"
import { root } from "../root.ts"
import { cityFiles } from "../template.ts"

export const init = Command.make(
  "init",
  { folder: Argument.String("folder").pipe(Argument.withDescription("A new or empty folder, named as the city")) },
  Effect.fn(function* ({ folder }) {
    const { json } = yield* root
    const out = makeOutput(json)
    yield* attempt(async () => {
      const target = resolve(folder)
      if (existsSync(target) && readdirSync(target).length > 0) {
        throw new CommandError({ message: `${target} is not empty. Choose another name.`, exitCode: 64 })
      }
      const slug =
        basename(target)
          .toLowerCase()
          .replaceAll(/[^a-z0-9-]+/g, "-")
          .replaceAll(/^-+|-+$/g, "") || "city"
      for (const [name, text] of Object.entries(cityFiles(slug, version))) {
        mkdirSync(join(target, name, ".."), { recursive: true })
        writeFileSync(join(target, name), text)
      }
      out.say(
        `${basename(target)} is there. Next:\n  cd ${folder}\n  npm install\n  npx mahalla dev\nBefore anything of value is in it, print the recovery text of its secret and keep it elsewhere: npx mahalla key export`,
        {
          folder: target,
          slug
        }
      )
    })
  })
).pipe(Command.withDescription("Begin a new city in a folder"))
