/** A city with two kinds of case and people of every role, for tests of what is done to cases. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type CaseTypeDefinition, defineCaseType } from "../kernel/cases/CaseType.ts"
import { createCase, type CreateCase } from "../kernel/cases/create.ts"
import { CaseTypes, makeCaseTypes, storeCaseTypes } from "../kernel/cases/registry.ts"
import { type Database, TenantTx, withPlatform, withTenant } from "../kernel/db/Database.ts"
import type { Migration } from "../kernel/db/Migration.ts"
import { Policy } from "../kernel/policy/Policy.ts"
import { presetRoles, rolesOf } from "../kernel/policy/presets.ts"
import { Actor, anonymous, type Principal, system } from "../kernel/policy/Principal.ts"
import { createPrincipal, createTenant, testKernel } from "../testing/kernel.ts"

const open = (en: string) => ({ title: { en, ru: `${en} (ru)` }, phase: "open" as const })
const closed = (en: string) => ({ title: { en }, phase: "closed" as const })

const pothole: CaseTypeDefinition = {
  id: "pothole",
  version: 1,
  title: { en: "Pothole", ru: "Яма" },
  data: {
    properties: {
      kind: { type: "string", visibility: "public" },
      text: { type: "string" },
      note: { type: "string", visibility: "staff" },
      happenedAt: { type: "string", format: "date-time", visibility: "public" }
    }
  },
  place: "optional",
  placeVisibility: "public",
  anonymous: true,
  public: true,
  attachments: { min: 0, max: 3 },
  creatable: true,
  initial: "new",
  states: {
    new: open("New"),
    working: open("In work"),
    fixed: { title: { en: "Fixed" }, phase: "fixed" },
    merged: closed("Merged")
  },
  transitions: {
    start: {
      title: { en: "Work begins", ru: "Начать работу" },
      from: ["new"],
      to: ["working"],
      permission: "pothole.decide",
      input: {
        properties: { crew: { type: "string", visibility: "public" }, cost: { type: "integer", visibility: "staff" } }
      }
    },
    fix: { title: { en: "Fixed" }, from: ["working"], to: ["fixed"], permission: "pothole.decide" },
    merge: { title: { en: "Merged" }, from: ["new", "working"], to: ["merged"], internal: true }
  },
  duplicates: { within: 100, during: 86_400, same: ["kind"] }
}

const matter: CaseTypeDefinition = {
  ...pothole,
  id: "matter",
  title: { en: "Matter" },
  public: false,
  anonymous: false,
  transitions: {},
  duplicates: { within: 100, during: 86_400, at: "happenedAt" }
}

/** Everybody may know of one, not of where it is. */
const shelter: CaseTypeDefinition = {
  ...pothole,
  id: "shelter",
  title: { en: "Shelter" },
  placeVisibility: "owner",
  transitions: {},
  search: ["text"]
}

export const caseTypes = [pothole, matter, shelter].map((definition) => defineCaseType({ definition }))
const types = makeCaseTypes(caseTypes)
export const definitions = { pothole, matter, shelter }

/** The kernel with the types stored. `more`: migrations of modules. */
export const caseRooms = (postgresUrl: string, more: ReadonlyArray<Migration> = []) =>
  Layer.effectDiscard(withPlatform(storeCaseTypes(types.all))).pipe(
    Layer.provideMerge(testKernel({ postgresUrl, migrations: more, maxConnections: 16 })),
    Layer.provideMerge(Layer.succeed(CaseTypes, types)),
    Layer.provideMerge(Layer.succeed(Policy, { roles: rolesOf(presetRoles, Object.keys(definitions)) }))
  )

export const as =
  (actor: Principal) =>
  <A, E, R>(self: Effect.Effect<A, E, R>) =>
    withTenant(actor.tenantId)(Effect.provideService(self, Actor, actor))

/** A new tenant with its people. */
export const city = Effect.gen(function* () {
  const { tenantId } = yield* createTenant()
  const staff = (role: string) => createPrincipal(tenantId, { kind: "staff", roles: [role] })
  const owner = yield* createPrincipal(tenantId)
  const create = (given: Partial<CreateCase> = {}, actor: Principal = owner) =>
    as(actor)(createCase({ type: "pothole", data: { kind: "hole", text: "a text", note: "a note" }, ...given }))
  return {
    tenantId,
    owner,
    neighbour: yield* createPrincipal(tenantId),
    inspector: yield* staff("inspector"),
    colleague: yield* staff("inspector"),
    dispatcher: yield* staff("dispatcher"),
    visitor: anonymous(tenantId),
    engine: system(tenantId),
    create
  }
})

export interface SeenEvent {
  readonly type: string
  readonly actorId: string | null
  readonly payload: Readonly<Record<string, unknown>>
}

/** Events of a case after its creation. */
export const eventsOf = (
  tenantId: string,
  caseId: string
): Effect.Effect<ReadonlyArray<SeenEvent>, unknown, Database> =>
  withTenant(tenantId)(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql<SeenEvent>`
        select type, actor_id as "actorId", payload from mahalla.event
        where case_id = ${caseId} and type not like '%.created' order by id`
    )
  )

/** The tag of the failure, or `ok`. */
export const outcome = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<string, never, R> =>
  Effect.match(self, {
    onSuccess: () => "ok",
    onFailure: (error) => {
      const { _tag, code } = error as { readonly _tag?: string; readonly code?: string }
      return code === undefined ? String(_tag) : `${_tag} ${code}`
    }
  })
