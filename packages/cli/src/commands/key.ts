/** `mahalla key`: the secret's copy on paper, its way back, and changes of tenants' keys. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { type City, masterOf } from "@mahalla/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { attempt, CommandError } from "../failure.ts"
import { pickTenant } from "../links.ts"
import { makeOutput } from "../output.ts"
import { loadProject, type Project } from "../project.ts"
import { confirmationOf, readRecoveryText, recoveryText } from "../recovery.ts"
import { root } from "../root.ts"

const tenant = Flag.String("tenant").pipe(
  Flag.optional,
  Flag.withDescription("Slug of the tenant; needed when there are several")
)

const opened = async <A>(project: Project, use: (city: City) => Promise<A>, secret?: string): Promise<A> => {
  const city = project.city({
    mode: "dev",
    only: [],
    migrate: false,
    logLevel: "Warn",
    ...(secret === undefined ? {} : { secret })
  })
  try {
    await city.start()
    return await use(city)
  } finally {
    await city.close()
  }
}

const secretOf = (project: Project): string => {
  const secret = project.secret()
  if (secret !== undefined) return secret
  throw new CommandError({
    message: `There is no secret in ${project.home} yet; it is made at the first start. Bring one back with: mahalla key restore FILE.`
  })
}

/** A command inside the project's folder. */
const inProject = (run: (project: Project, out: ReturnType<typeof makeOutput>) => Promise<void>) =>
  Effect.gen(function* () {
    const { dir, json } = yield* root
    yield* attempt(async () => run(await loadProject(dir, "production"), makeOutput(json)))
  })

const exported = Command.make(
  "export",
  {},
  Effect.fn(function* () {
    yield* inProject(async (project, out) => {
      const secret = secretOf(project)
      const { id } = masterOf(Redacted.make(secret))
      out.say(
        `${recoveryText(secret)}master key   ${id}\n\nPrint this or write it down, and keep it where the server and its backups are not. Who has it and the database can read everything;\nwithout it a backup cannot be read by anybody. Then say so with: mahalla key confirm, and the confirmation from the paper`,
        { recoveryText: recoveryText(secret), master: id }
      )
    })
  })
).pipe(Command.withDescription("Print the recovery text of this deployment's secret"))

const confirm = Command.make(
  "confirm",
  {
    confirmation: Argument.String("confirmation").pipe(Argument.withDescription("The last line of the recovery text"))
  },
  Effect.fn(function* ({ confirmation }) {
    yield* inProject(async (project, out) => {
      const given = confirmation.toUpperCase().replaceAll("O", "0").replaceAll(/[IL]/g, "1")
      if (given !== confirmationOf(secretOf(project)))
        throw new CommandError({
          message:
            "This is not the confirmation of this secret. Read it off the copy that you keep, or make a new one: mahalla key export."
        })
      await opened(project, (city) => city.admin.keys.confirmEscrow())
      out.say("Noted: the secret is kept outside this machine too.", { confirmed: true })
    })
  })
).pipe(Command.withDescription("Say that the recovery text is kept in a safe place"))

const restore = Command.make(
  "restore",
  {
    file: Argument.String("file").pipe(
      Argument.withDescription("The recovery text, typed in; - reads it from the input")
    )
  },
  Effect.fn(function* ({ file }) {
    yield* inProject(async (project, out) => {
      const text = readFileSync(file === "-" ? 0 : resolve(process.env["INIT_CWD"] ?? ".", file), "utf8")
      const read = readRecoveryText(text)
      if ("mistake" in read) throw new CommandError({ message: read.mistake, exitCode: 64 })
      if (project.secretIsGiven)
        throw new CommandError({
          message: "This deployment's secret comes from its configuration or MAHALLA_SECRET; change it there.",
          exitCode: 64
        })
      // The database is asked first: a secret of another city would only shut this one out.
      await opened(project, async () => undefined, read.secret)
      const place = join(project.home, "secret")
      mkdirSync(dirname(place), { recursive: true, mode: 0o700 })
      if (existsSync(place) && readFileSync(place, "utf8").trim() !== read.secret)
        copyFileSync(place, `${place}.replaced-${masterOf(Redacted.make(readFileSync(place, "utf8").trim())).id}`)
      const draft = `${place}.${process.pid}`
      writeFileSync(draft, `${read.secret}\n`, { mode: 0o600 })
      renameSync(draft, place)
      out.say(`The secret is back in ${place}, and it opens this database.`, { restored: true })
    })
  })
).pipe(Command.withDescription("Bring the secret back from its recovery text"))

const status = Command.make(
  "status",
  { tenant },
  Effect.fn(function* ({ tenant }) {
    yield* inProject(async (project, out) =>
      opened(project, async (city) => {
        const master = await city.admin.keys.master()
        out.say(
          `Master key ${master.id}: ${master.escrowedAt === null ? "not known to be kept elsewhere (mahalla key export)" : `kept elsewhere since ${master.escrowedAt.toISOString()}`}${master.left === 0 ? "" : `; ${master.left} keys are still wrapped by the one before it`}`,
          { master }
        )
        const named = Option.getOrUndefined(tenant)
        const slugs = named === undefined ? (await city.admin.tenants.list()).map(({ slug }) => slug) : [named]
        for (const slug of slugs) {
          const { destroyed, keys, parts, version } = await city.admin.keys.state(slug)
          const open = parts.filter(({ finishedAt }) => finishedAt === null)
          const state = destroyed
            ? "destroyed"
            : version === null
              ? "no key yet"
              : `version ${version}${keys.length > 1 ? ` (${keys.length} in use)` : ""}${open.length === 0 ? "" : `; under way: ${open.map(({ done, part }) => `${part} ${done}`).join(", ")}`}`
          out.say(`${slug}: ${state}`, { tenant: slug, destroyed, version, keys, parts })
        }
      })
    )
  })
).pipe(Command.withDescription("Show how keys stand, and how far a change is"))

const rotate = Command.make(
  "rotate",
  { tenant },
  Effect.fn(function* ({ tenant }) {
    yield* inProject(async (project, out) =>
      opened(project, async (city) => {
        const slug = await pickTenant(city, Option.getOrUndefined(tenant))
        const version = await city.admin.keys.rotate(slug)
        out.say(
          `${slug} has key version ${version} now; the server's workers bring what is sealed there. See: mahalla key status`,
          { tenant: slug, version }
        )
      })
    )
  })
).pipe(Command.withDescription("Give a tenant a new key"))

const destroy = Command.make(
  "destroy",
  {
    tenant: Flag.String("tenant").pipe(Flag.withDescription("Slug of the tenant")),
    sure: Flag.String("sure").pipe(Flag.withDescription("The slug again"))
  },
  Effect.fn(function* ({ sure, tenant }) {
    yield* inProject(async (project, out) => {
      if (sure !== tenant)
        throw new CommandError({
          message: `This ends every sealed value of ${tenant} for good. Repeat the slug: --sure ${tenant}.`,
          exitCode: 64
        })
      await opened(project, (city) => city.admin.keys.destroy(tenant))
      out.say(
        `The keys of ${tenant} are destroyed. Backups made before can still be read with the secret of their time: change the secret and destroy the old one, or the backups.`,
        { tenant, destroyed: true }
      )
    })
  })
).pipe(Command.withDescription("Destroy a tenant's keys, and with them its people's values"))

export const key = Command.make("key").pipe(
  Command.withDescription("The deployment's secret on paper, and tenants' keys"),
  Command.withSubcommands([exported, confirm, restore, status, rotate, destroy])
)
