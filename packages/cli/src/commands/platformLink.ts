/** `mahalla platform-link`: a one-time sign-in token for a super-admin of the whole deployment; the only way to make the first one. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { attempt, CommandError } from "../failure.ts"
import { makeOutput } from "../output.ts"
import { findRunning, loadProject } from "../project.ts"
import { root } from "../root.ts"

export const platformLink = Command.make(
  "platform-link",
  {
    name: Flag.String("name").pipe(
      Flag.optional,
      Flag.withDescription("Whose link; needed when there are several super-admins")
    ),
    create: Flag.String("create").pipe(Flag.optional, Flag.withDescription("Make a super-admin of this name first")),
    reset: Flag.Boolean("reset-second-factor").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Take their second factor away first, and sign them out everywhere: for whoever has lost it")
    )
  },
  Effect.fn(function* ({ create, name, reset }) {
    const { dir, json } = yield* root
    const out = makeOutput(json)
    yield* attempt(async () => {
      const project = await loadProject(dir, "dev")
      const city = project.city({ mode: "dev", only: [], migrate: false, logLevel: "Warn" })
      await city.start()
      try {
        const wanted = Option.getOrUndefined(create) ?? Option.getOrUndefined(name)
        if (Option.isSome(create)) await city.admin.platform.createAdmin(create.value)
        const all = (await city.admin.platform.admins()).filter(({ status }) => status === "active")
        const found = wanted === undefined ? all : all.filter((one) => one.name === wanted)
        const person = found.at(-1)
        if (person === undefined || (wanted === undefined && all.length > 1))
          throw new CommandError({
            message:
              all.length === 0
                ? 'There is no super-admin yet. Make one with: mahalla platform-link --create "Full Name".'
                : `Whose link? Name one with --name: ${all.map((one) => one.name).join(", ")}.`
          })
        if (reset) await city.admin.platform.resetSecondFactor(person.id)
        const token = await city.admin.platform.link(person.id)
        const base = (await findRunning(project.home))?.url ?? project.config.publicUrl ?? "http://localhost:8080"
        const address = `${base}/v1/platform/session`
        out.say(
          `Token for ${person.name}, good for 15 minutes and one sign-in. Send it to ${address} as {"token": "…"}:\n${token}`,
          { name: person.name, address, token }
        )
      } finally {
        await city.close()
      }
    })
  })
).pipe(Command.withDescription("Print a one-time sign-in token for a super-admin of the deployment"))
