/** Effects as they must be, before anything is written: a mistake names its place in the batch, and nothing of the batch happens. */
import * as Effect from "effect/Effect"
import { type FieldIssue, InvalidInput } from "../../kernel/cases/model.ts"
import { isId } from "../../kernel/ids.ts"
import { type AlertEffect, severities } from "./model.ts"

/** Milliseconds since 1970 that a date can hold and PostgreSQL too: years 1970 to 9999. */
const isTime = (at: number) => Number.isFinite(at) && at >= 0 && at <= 253_402_300_799_999
const isText = (text: string, most: number) => text.length >= 1 && text.length <= most && !text.includes("\u0000")
const isName = (text: string) => /^[\w.:-]{1,100}$/.test(text)
const areIds = (ids: ReadonlyArray<string>) => ids.length <= 1000 && ids.every((id) => isId(id))
const longest = 16_000

const issuesOf = (effect: AlertEffect): ReadonlyArray<readonly [field: string, detail: string]> => {
  const issues: Array<readonly [string, string]> = []
  const check = (good: boolean, field: string, detail: string) => {
    if (!good) issues.push([field, detail])
  }
  check(isText(effect.key.rule, 100), "key/rule", "A rule's id has 1 to 100 characters.")
  check(isName(effect.key.originator), "key/originator", "An originator is 1 to 100 of A-Za-z0-9_.:-.")
  check(isText(effect.episode, 100), "episode", "An episode's name has 1 to 100 characters.")
  check(isTime(effect.at), "at", "A time is milliseconds since 1970.")
  if (effect.kind === "clear") {
    const { reason } = effect
    check(reason === undefined || isText(reason, 500), "reason", "A reason has 1 to 500 characters.")
    return issues
  }
  check(
    effect.severity === undefined || severities.includes(effect.severity),
    "severity",
    `One of ${severities.join(", ")}.`
  )
  check(effect.summary === undefined || isText(effect.summary, 500), "summary", "A summary has 1 to 500 characters.")
  const json = effect.details === undefined ? "" : JSON.stringify(effect.details)
  check(
    json.length <= longest && !json.includes("\\u0000"),
    "details",
    `Details are JSON of at most ${longest} characters.`
  )
  if (effect.kind === "update") return issues
  const { assetId, members, originator, place, propagate = [], ruleVersion = 1, territoryId } = effect
  check(assetId === undefined || isId(assetId), "assetId", "An asset is a UUID, lower case.")
  check(areIds(propagate), "propagate", "At most 1,000 UUIDs, lower case.")
  check(territoryId == null || isId(territoryId), "territoryId", "A territory is a UUID, lower case.")
  for (const name of ["devices", "assets", "territories"] as const)
    check(areIds(members?.[name] ?? []), `members/${name}`, "At most 1,000 UUIDs, lower case.")
  check(Number.isInteger(ruleVersion) && ruleVersion >= 1, "ruleVersion", "Versions count from 1.")
  check(
    originator === undefined || originator.name.length <= 200,
    "originator/name",
    "A name has at most 200 characters."
  )
  check(
    place === undefined || (Math.abs(place.longitude) <= 180 && Math.abs(place.latitude) <= 90),
    "place",
    "Longitude is between -180 and 180, latitude between -90 and 90."
  )
  return issues
}

const most = 1000

/** Fails with every mistake of a batch; pointers begin with the effect's place in it. */
export const checkEffects = Effect.fnUntraced(function* (effects: ReadonlyArray<AlertEffect>) {
  if (effects.length > most)
    return yield* new InvalidInput({ issues: [{ pointer: "", detail: `A batch has at most ${most} effects.` }] })
  const issues: ReadonlyArray<FieldIssue> = effects.flatMap((effect, place) =>
    issuesOf(effect).map(([field, detail]) => ({ pointer: `/${place}/${field}`, detail }))
  )
  if (issues.length > 0) return yield* new InvalidInput({ issues })
})
