/** What the control room is told of a leak. Each leak has an alert of its own: two in one zone are two places to dig at. */
import type { AlertEffect, AlertKey } from "../../control-room/index.ts"
import type { LeakFound } from "../leaks/group.ts"
import type { Whereabouts } from "../leaks/whereabouts.ts"
import type { LoadedZone } from "./load.ts"

/** `foundAt`: epoch milliseconds of the end of the night that was enough, of which a zone has one leak at most. */
export const alertKey = (zoneId: string, foundAt: number): AlertKey => ({
  rule: "leak",
  originator: `${zoneId}:${foundAt}`
})

/** A leak has one: it ends when it is accepted. */
export const episode = "1"

const short = (text: string) => (text.length > 500 ? `${text.slice(0, 499)}…` : text)

/** Evidence and place; `whereabouts` where later nights have told more of it. */
const detailsOf = (
  { id, name }: LoadedZone,
  found: Pick<LeakFound, "since" | "score" | "explanation">,
  now: Omit<Whereabouts, "best" | "place"> & { readonly place: string | undefined }
) => ({
  kind: "leak",
  title: `Leak in ${name}`,
  zoneId: id,
  because: found.explanation,
  since: new Date(found.since).toISOString(),
  place: now.place ?? null,
  places: now.zone,
  flow: now.flow ?? null,
  score: found.score
})

export const raiseLeak = (zone: LoadedZone, found: LeakFound): AlertEffect => ({
  kind: "raise",
  key: alertKey(zone.id, found.at),
  episode,
  at: found.at,
  severity: "major",
  summary: short(`${zone.name}: ${found.explanation}`),
  details: detailsOf(zone, found, found),
  originator: { kind: "set", name: zone.name },
  place: found.place === undefined ? zone.middle : zone.positionOf(found.place)
})

/** The same leak after a further night. */
export const refineLeak = (
  zone: LoadedZone,
  found: Pick<LeakFound, "at" | "since" | "score" | "explanation">,
  night: number,
  now: Whereabouts
): AlertEffect => ({
  kind: "update",
  key: alertKey(zone.id, found.at),
  episode,
  at: night,
  details: detailsOf(zone, found, now)
})
