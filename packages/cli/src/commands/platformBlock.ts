/** `mahalla platform-block`: shuts a super-admin out with their next request, or lets them in again. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { attempt, CommandError } from "../failure.ts"
import { makeOutput } from "../output.ts"
import { loadProject } from "../project.ts"
import { root } from "../root.ts"

export const platformBlock = Command.make(
  "platform-block",
  {
    who: Flag.String("who").pipe(Flag.withDescription("Their name, or their id where several have it")),
    reason: Flag.String("reason").pipe(
      Flag.optional,
      Flag.withDescription("Why, in a sentence; it stands in the platform's log")
    ),
    undo: Flag.Boolean("undo").pipe(Flag.withDefault(false), Flag.withDescription("Let them in again"))
  },
  Effect.fn(function* ({ reason, undo, who }) {
    const { dir, json } = yield* root
    const out = makeOutput(json)
    yield* attempt(async () => {
      const because = Option.getOrElse(reason, () => "").trim()
      if (!undo && because.length < 10)
        throw new CommandError({ message: "Say why with --reason, in a sentence of ten characters at least." })
      const project = await loadProject(dir, "dev")
      const city = project.city({ mode: "dev", only: [], migrate: false, logLevel: "Warn" })
      await city.start()
      try {
        const all = await city.admin.platform.admins()
        const found = all.filter(({ id, name }) => id === who || name === who)
        const [person] = found
        if (person === undefined || found.length > 1)
          throw new CommandError({
            message:
              person === undefined
                ? `There is no super-admin ${who}. There are: ${all.map(({ name }) => name).join(", ") || "none"}.`
                : `Several super-admins are called ${who}. Give the id of one: ${found.map(({ id, status }) => `${id} (${status})`).join(", ")}.`
          })
        if (undo) await city.admin.platform.unblock(person.id)
        else await city.admin.platform.block(person.id, because)
        out.say(
          undo
            ? `${person.name} may sign in again: mahalla platform-link --name "${person.name}".`
            : `${person.name} is out: sign-ins, links and accesses to cities have ended.`,
          { id: person.id, name: person.name, status: undo ? "active" : "blocked" }
        )
      } finally {
        await city.close()
      }
    })
  })
).pipe(Command.withDescription("Shut a super-admin out, or let them in again"))
