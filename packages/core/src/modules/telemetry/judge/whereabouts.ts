/**
 * Where an alert is: in the territory of its device, of a set in the nearest one that its members have in common. A device that has none of its own
 * is in that of its place.
 */
import * as Effect from "effect/Effect"
import type { Place } from "../../../kernel/cases/model.ts"
import { territoryAt } from "../../../kernel/tenancy/territories.ts"
import type { AlertEffect } from "../../control-room/index.ts"
import type { KnownDevice } from "./load.ts"

/** A device that an alert is about, where it was then. */
export interface Concerned {
  readonly device: KnownDevice
  readonly place: Place | undefined
}

/** Found, with whom it is about: the device, or a set's members; nobody where they are gone. */
export interface FoundAlert {
  readonly effect: AlertEffect
  readonly concerned: ReadonlyArray<Concerned>
}

const pathOf = ({ device, place }: Concerned) =>
  device.territoryPath.length > 0 || place === undefined
    ? Effect.succeed(device.territoryPath)
    : Effect.map(territoryAt(place), (territory) => territory?.path ?? [])

/** In the middle of them. */
const middleOf = (places: ReadonlyArray<Place>): Place | undefined => {
  const mean = (of: (place: Place) => number) => places.reduce((sum, one) => sum + of(one), 0) / places.length
  return places.length === 0
    ? undefined
    : { longitude: mean(({ longitude }) => longitude), latitude: mean(({ latitude }) => latitude) }
}

/** The same effects, each new alert with its territory and place. Inside the tenant's transaction. */
export const located = Effect.fnUntraced(function* (found: ReadonlyArray<FoundAlert>) {
  const located: Array<AlertEffect> = []
  for (const { concerned, effect } of found) {
    if (effect.kind !== "raise" || concerned.length === 0) {
      located.push(effect)
      continue
    }
    const paths = (yield* Effect.forEach(concerned, pathOf)).filter((path) => path.length > 0)
    const common = paths[0]?.find((one) => paths.every((path) => path.includes(one))) ?? null
    const place = middleOf(concerned.flatMap((one) => one.place ?? []))
    located.push({
      ...effect,
      place,
      territoryId: common,
      ...(effect.originator?.kind === "set"
        ? {
            members: {
              devices: concerned.map(({ device }) => device.facts.id),
              assets: concerned.flatMap(({ device }) => device.assetId ?? []),
              territories: paths.map(([own]) => own!)
            }
          }
        : {})
    })
  }
  return located
})
