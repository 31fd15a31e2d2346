/** What rules may speak of: profiles with their datastreams, and which devices have them. */
import type { DatastreamDefinition } from "../model.ts"
import type { RuleDefinition } from "./definition.ts"

export interface RuleProfile {
  readonly datastreams: ReadonlyArray<DatastreamDefinition>
  /** Seconds between readings. */
  readonly expectedInterval?: number
}

/** What rules may speak of. */
export interface RuleVocabulary {
  /** By the profile's name. */
  readonly profiles: ReadonlyMap<string, RuleProfile>
  /** Device → name of its profile. Needed for rules that name devices; one that is not there is a mistake. */
  readonly profileOf: (device: string) => string | undefined
}

/** Notes a mistake, or what is doubtful. */
export type Add = (pointer: string, detail: string) => void

/** Profiles that a member of the rule may have; undefined: any, for only groups are named. */
export const profilesOf = (rule: RuleDefinition, member: string | undefined, { profileOf }: RuleVocabulary) => {
  const { scope } = rule
  const of = (devices: ReadonlyArray<string | undefined>) =>
    new Set(
      devices.flatMap((device) => {
        const profile = device === undefined ? undefined : profileOf(device)
        return profile === undefined ? [] : [profile]
      })
    )
  if (scope.kind === "sets") return of(scope.sets.map(({ members }) => members[member ?? ""]))
  if (scope.profiles !== undefined) return new Set(scope.profiles)
  return scope.devices === undefined ? undefined : of(scope.devices)
}

/** A leaf's datastream in every profile where it must exist. */
export const datastreamsOf = (
  { datastream, member }: { readonly datastream: string; readonly member?: string | undefined },
  rule: RuleDefinition,
  vocabulary: RuleVocabulary
) => {
  const named = profilesOf(rule, member, vocabulary)
  const profiles = [...(named ?? vocabulary.profiles.keys())]
  const found = profiles.map((profile) => ({
    profile,
    stream: vocabulary.profiles.get(profile)?.datastreams.find(({ key }) => key === datastream)
  }))
  // Where only groups are named, it is enough that some profile knows the datastream.
  return named === undefined && found.some(({ stream }) => stream !== undefined)
    ? found.filter(({ stream }) => stream !== undefined)
    : found
}
