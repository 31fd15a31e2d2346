/** Every permission that some door of this city asks for, so that a role can be made of what there is and a slip of the pen is noticed. */
import type { CaseTypeDefinition } from "../cases/CaseType.ts"
import type { Permission, Role } from "./decide.ts"

/** What the kernel's and the engine's own doors ask for. */
const kernelPermissions: ReadonlyArray<Permission> = [
  "attachment.attach",
  "attachment.create",
  "attachment.read",
  "attachment.read-original",
  "audit.read",
  "case-type.read",
  "event.read",
  "job.discard",
  "job.read",
  "job.replay",
  "key.read",
  "key.rotate",
  "outbox.read",
  "plugin.read",
  "principal.create",
  "principal.read",
  "retention.read",
  "role.grant",
  "role.manage",
  "role.read",
  "territory.manage"
]

/** What may be done with a case of any type. */
const caseVerbs = [
  "assign",
  "claim",
  "comment",
  "comment-internal",
  "create",
  "link",
  "read",
  "subscribe",
  "withdraw"
] as const

/** Of a city with these case types, modules and roles; sorted. */
export const permissionsOf = (
  caseTypes: ReadonlyArray<Pick<CaseTypeDefinition, "id" | "transitions">>,
  modules: ReadonlyArray<Permission>
): ReadonlyArray<Permission> =>
  [
    ...new Set([
      ...kernelPermissions,
      ...modules,
      ...caseTypes.flatMap(({ id, transitions }) => [
        ...caseVerbs.map((verb) => `${id}.${verb}`),
        ...Object.entries(transitions).map(([name, transition]) => transition.permission ?? `${id}.${name}`)
      ])
    ])
  ].sort()

/** Answers whether an entry of a role means anything: `thing.verb`, `thing.*`, `*.verb` or `*.*`, each also `:own`. */
export const knows = (
  permissions: ReadonlyArray<Permission>,
  caseTypes: ReadonlyArray<string>,
  presets: ReadonlyArray<Role>
): ((entry: string) => boolean) => {
  // What a preset says may be said again, also where no case type has that verb today.
  const known = new Set<string>([...permissions, "*.*", ...presets.flatMap((role) => role.permissions)])
  for (const permission of permissions) {
    const [thing, verb] = permission.split(".") as [string, string]
    known.add(`${thing}.*`)
    if (caseTypes.includes(thing)) known.add(`*.${verb}`)
  }
  return (entry) => known.has(entry) || known.has(entry.replace(/:own$/, ""))
}
