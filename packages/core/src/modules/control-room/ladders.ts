/** Escalation ladders as rows: whom an alert that nobody acknowledges calls, and when. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type FieldIssue, InvalidInput, NotFound, VersionConflict } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { defineEvent } from "../../kernel/events/Event.ts"
import { newId } from "../../kernel/ids.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { currentRoles } from "../../kernel/policy/roles.ts"
import type { Severity } from "./model.ts"
import { demandPeople } from "./people.ts"

export const LadderChanged = defineEvent({
  id: "ladder.changed",
  payload: Schema.Struct({
    ladderId: Schema.String,
    name: Schema.String,
    what: Schema.Literals(["created", "replaced", "removed"])
  })
})

/** After so many minutes without an acknowledgement: exactly one of rota, role and person. */
export interface GivenStep {
  readonly after: number
  readonly rotaId?: string
  readonly role?: string
  readonly personId?: string
}

export interface GivenLadder {
  readonly name: string
  readonly severities: ReadonlyArray<Severity>
  /** Of alerts there and below; everywhere when absent. An alert takes the ladder of the nearest territory. */
  readonly territoryId?: string | null
  /** By `after`, ascending. */
  readonly steps: ReadonlyArray<GivenStep>
  /** The whole again, `every` minutes after the last beginning. */
  readonly repeat?: { readonly every: number; readonly times: number }
}

export interface StoredLadder extends GivenLadder {
  readonly id: string
  readonly version: number
}

const announce = ({ id, name }: Pick<StoredLadder, "id" | "name">, what: typeof LadderChanged.payload.Type.what) =>
  Effect.flatMap(Actor, (actor) => appendEvent(LadderChanged, { ladderId: id, name, what }, { actorId: actor.id }))

/** What a ladder says by itself. Pure. */
export const issuesOfLadder = ({ repeat, steps }: Pick<GivenLadder, "repeat" | "steps">): ReadonlyArray<FieldIssue> => [
  ...steps.flatMap(({ after, personId, role, rotaId }, place) => [
    ...([personId, role, rotaId].filter((who) => who !== undefined).length === 1
      ? []
      : [{ pointer: `/steps/${place}`, detail: "A step names exactly one of rotaId, role and personId." }]),
    ...(place === 0 || after > steps[place - 1]!.after
      ? []
      : [{ pointer: `/steps/${place}/after`, detail: "Each step comes later than the one before." }])
  ]),
  ...(repeat === undefined || repeat.every > (steps.at(-1)?.after ?? 0)
    ? []
    : [{ pointer: "/repeat/every", detail: "It begins again after its last step." }])
]

const check = Effect.fnUntraced(function* (given: GivenLadder, id: string | null) {
  const { sql, tenantId } = yield* TenantTx
  const { name, steps, territoryId = null } = given
  const issues = [...issuesOfLadder(given)]
  const taken = yield* sql`
    select from mahalla.ladder where tenant_id = ${tenantId} and name = ${name} and id is distinct from ${id}::uuid`
  if (taken.length > 0) issues.push({ pointer: "/name", detail: "There is a ladder of this name already." })
  const territory =
    yield* sql`select from mahalla.territory where tenant_id = ${tenantId} and id = ${territoryId}::uuid`
  if (territoryId !== null && territory.length === 0)
    issues.push({ pointer: "/territoryId", detail: "There is no such territory." })
  const rotas = yield* sql<{ id: string }>`
    select id from mahalla.rota where tenant_id = ${tenantId} and id = any (${steps.flatMap(({ rotaId }) => rotaId ?? [])}::uuid[])`
  const roles = yield* currentRoles
  steps.forEach(({ role, rotaId }, place) => {
    if (rotaId !== undefined && !rotas.some((rota) => rota.id === rotaId))
      issues.push({ pointer: `/steps/${place}/rotaId`, detail: "There is no such rota." })
    if (role !== undefined && !roles.has(role))
      issues.push({ pointer: `/steps/${place}/role`, detail: "The city has no such role; GET /v1/roles lists them." })
  })
  if (issues.length > 0) return yield* new InvalidInput({ issues })
  yield* demandPeople(
    steps.flatMap(({ personId }, place) =>
      personId === undefined ? [] : [{ id: personId, pointer: `/steps/${place}/personId` }]
    )
  )
})

const insertSteps = Effect.fnUntraced(function* (ladderId: string, steps: ReadonlyArray<GivenStep>) {
  const { sql, tenantId } = yield* TenantTx
  const rows = steps.map(({ after, personId, role, rotaId }, place) => ({
    place,
    after,
    rota_id: rotaId,
    role,
    principal_id: personId
  }))
  yield* sql`
    insert into mahalla.ladder_step (tenant_id, ladder_id, place, after, rota_id, role, principal_id)
    select ${tenantId}, ${ladderId}, place, after, rota_id, role, principal_id
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as given
      (place integer, after integer, rota_id uuid, role text, principal_id uuid)`
})

/** Makes a ladder; needs `ladder.manage`. */
export const createLadder = Effect.fn("control-room.createLadder")(function* (given: GivenLadder) {
  const { sql, tenantId } = yield* TenantTx
  yield* demandEverywhere("ladder.manage")
  yield* check(given, null)
  const id = yield* newId
  yield* sql`
    insert into mahalla.ladder (tenant_id, id, name, severities, territory_id, repeat_every, repeat_times)
    values (${tenantId}, ${id}, ${given.name}, ${given.severities}::text[], ${given.territoryId ?? null},
            ${given.repeat?.every ?? null}, ${given.repeat?.times ?? 0})`
  yield* insertSteps(id, given.steps)
  yield* announce({ id, name: given.name }, "created")
  return { ...given, id, version: 1 } satisfies StoredLadder
})

interface LadderRow extends Omit<StoredLadder, "steps" | "repeat"> {
  readonly every: number | null
  readonly times: number
  readonly steps: ReadonlyArray<GivenStep> | null
}

const storedOf = ({ every, steps, times, ...ladder }: LadderRow): StoredLadder => ({
  ...ladder,
  steps: steps ?? [],
  ...(every === null ? {} : { repeat: { every, times } })
})

const selectLadders = Effect.fnUntraced(function* (id: string | null) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<LadderRow>`
    select id, name, severities, territory_id as "territoryId", repeat_every as every, repeat_times as times, version, (
        select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
          'after', after, 'rotaId', rota_id, 'role', role, 'personId', principal_id)) order by place)
        from mahalla.ladder_step s where s.tenant_id = l.tenant_id and s.ladder_id = l.id
      ) as steps
    from mahalla.ladder l where tenant_id = ${tenantId} and (${id}::uuid is null or id = ${id}::uuid) order by name`
  return rows.map(storedOf)
})

/** All ladders, by name; needs `ladder.read`. */
export const listLadders = Effect.andThen(demandEverywhere("ladder.read"), selectLadders(null)).pipe(
  Effect.withSpan("control-room.listLadders")
)

/** One ladder, or `NotFound`; needs `ladder.read`. */
export const getLadder = Effect.fn("control-room.getLadder")(function* (id: string) {
  yield* demandEverywhere("ladder.read")
  const [ladder] = yield* selectLadders(id)
  return ladder ?? (yield* new NotFound({ what: "ladder", id }))
})

const changeable = Effect.fnUntraced(function* (id: string, ifVersion: number | undefined) {
  const { sql, tenantId } = yield* TenantTx
  yield* demandEverywhere("ladder.manage")
  yield* sql`select from mahalla.ladder where tenant_id = ${tenantId} and id = ${id} for update`
  const ladder = yield* getLadder(id)
  if (ifVersion !== undefined && ifVersion !== ladder.version)
    return yield* new VersionConflict({ what: "ladder", expected: ifVersion, found: ladder.version })
  return ladder
})

/** Puts another ladder in the place of one; needs `ladder.manage`. Alerts that are on it go on where they are, by the new steps. */
export const replaceLadder = Effect.fn("control-room.replaceLadder")(function* (
  id: string,
  given: GivenLadder,
  ifVersion?: number
) {
  const { sql, tenantId } = yield* TenantTx
  const { version } = yield* changeable(id, ifVersion)
  yield* check(given, id)
  yield* sql`
    update mahalla.ladder
    set name = ${given.name}, severities = ${given.severities}::text[], territory_id = ${given.territoryId ?? null},
        repeat_every = ${given.repeat?.every ?? null}, repeat_times = ${given.repeat?.times ?? 0}, version = version + 1
    where tenant_id = ${tenantId} and id = ${id}`
  yield* sql`delete from mahalla.ladder_step where tenant_id = ${tenantId} and ladder_id = ${id}`
  yield* insertSteps(id, given.steps)
  yield* announce({ id, name: given.name }, "replaced")
  return { ...given, id, version: version + 1 } satisfies StoredLadder
})

/** Removes a ladder; needs `ladder.manage`. Alerts that are on it climb no further. */
export const removeLadder = Effect.fn("control-room.removeLadder")(function* (id: string, ifVersion?: number) {
  const { sql, tenantId } = yield* TenantTx
  const ladder = yield* changeable(id, ifVersion)
  yield* sql`delete from mahalla.ladder where tenant_id = ${tenantId} and id = ${id}`
  yield* announce(ladder, "removed")
})
