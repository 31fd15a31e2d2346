/** `mahalla admin-link`: a one-time sign-in link for an administrator; works before any SMS contract. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { attempt } from "../failure.ts"
import { linkFor, pickTenant, signInAddress } from "../links.ts"
import { makeOutput } from "../output.ts"
import { findRunning, loadProject } from "../project.ts"
import { root } from "../root.ts"

export const adminLink = Command.make(
  "admin-link",
  {
    tenant: Flag.String("tenant").pipe(
      Flag.optional,
      Flag.withDescription("Slug of the tenant; needed when there are several")
    ),
    role: Flag.String("role").pipe(
      Flag.withDefault("municipality-admin"),
      Flag.withDescription("Link for somebody with this role")
    ),
    create: Flag.String("create").pipe(
      Flag.optional,
      Flag.withDescription("Make a staff member of this name with the role first")
    ),
    reset: Flag.Boolean("reset-second-factor").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Take their second factor away first, and sign them out everywhere: for whoever has lost it")
    )
  },
  Effect.fn(function* ({ create, reset, role, tenant }) {
    const { dir, json } = yield* root
    const out = makeOutput(json)
    yield* attempt(async () => {
      const project = await loadProject(dir, "dev")
      const city = project.city({ mode: "dev", only: [], migrate: false, logLevel: "Warn" })
      await city.start()
      try {
        const slug = await pickTenant(city, Option.getOrUndefined(tenant))
        if (Option.isSome(create)) await city.admin.principals.createStaff(slug, { name: create.value, roles: [role] })
        const link = await linkFor(city, slug, role, reset)
        const base = (await findRunning(project.home))?.url ?? project.config.publicUrl ?? "http://localhost:8080"
        const address = signInAddress(base, slug, link)
        out.say(`Sign-in link for ${link.name}, good for 15 minutes and one use:\n${address}`, {
          link: address,
          name: link.name,
          token: link.token
        })
      } finally {
        await city.close()
      }
    })
  })
).pipe(Command.withDescription("Print a one-time sign-in link for staff"))
