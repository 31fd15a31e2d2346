/** Profiles, gateways and devices of a simulated fleet, made through the city's API where they are not there yet. */
import { HttpProblem, type Client } from "../demo/client.ts"
import { kindOf, type Kind } from "./shape.ts"

const profiles: Readonly<Record<Kind, unknown>> = {
  meter: {
    datastreams: [
      { key: "pressure", title: "Pressure", unit: "bar", minimum: 0, maximum: 16, flatAfter: 3600, resolution: 0.001 },
      { key: "flow", title: "Flow", unit: "m3/h", minimum: 0, maximum: 500, resolution: 0.01 }
    ],
    format: "json",
    interval: 300,
    retention: 90
  },
  tank: {
    datastreams: [{ key: "level", title: "Water level", unit: "m", minimum: 0, maximum: 6, resolution: 0.001 }],
    format: "json",
    interval: 300,
    retention: 90
  },
  quality: {
    datastreams: [
      { key: "chlorine", title: "Free chlorine", unit: "mg/L", minimum: 0, maximum: 5 },
      { key: "turbidity", title: "Turbidity", unit: "[NTU]", minimum: 0, maximum: 1000 },
      { key: "temperature", title: "Temperature", unit: "Cel", minimum: -5, maximum: 60 }
    ],
    format: "json",
    interval: 300,
    retention: 90
  }
}

/** Devices that one connection carries. A device stays behind its gateway, however many there are in the next run. */
const behindOne = 250

export interface Registered {
  /** Names by their number. */
  readonly names: ReadonlyArray<string>
  readonly ids: ReadonlyArray<string>
  readonly gateways: ReadonlyArray<{ readonly name: string; readonly token: string }>
  readonly gatewayOf: (device: number) => number
}

interface Page {
  readonly items: ReadonlyArray<{ readonly id: string; readonly name: string }>
  readonly cursor?: string
}

const profileIds = async (client: Client): Promise<Readonly<Record<Kind, string>>> => {
  const { items } = await client.get<Page>("/v1/device-profiles")
  const ids: Partial<Record<Kind, string>> = {}
  for (const kind of ["meter", "tank", "quality"] as const) {
    const name = `simulated-${kind}`
    ids[kind] =
      items.find((profile) => profile.name === name)?.id ??
      (await client.post<{ readonly id: string }>("/v1/device-profiles", { name, definition: profiles[kind] })).id
  }
  return ids as Readonly<Record<Kind, string>>
}

const known = async (client: Client, group: string): Promise<Map<string, string>> => {
  const found = new Map<string, string>()
  let cursor = ""
  do {
    const page = await client.get<Page>(`/v1/devices?group=${group}&limit=200${cursor}`)
    for (const { id, name } of page.items) found.set(name, id)
    cursor = page.cursor === undefined ? "" : `&cursor=${encodeURIComponent(page.cursor)}`
  } while (cursor !== "")
  return found
}

export interface FleetPlan {
  readonly seed: number
  readonly devices: number
  /** In the middle of the fleet, WGS84 degrees. */
  readonly place: { readonly longitude: number; readonly latitude: number } | undefined
  readonly progress: (done: number, total: number) => void
}

/** The tokens of its gateways are drawn anew; those of the run before end. */
export const register = async (client: Client, { devices, place, progress, seed }: FleetPlan): Promise<Registered> => {
  const group = `sim-${seed}`
  const profile = await profileIds(client)
  const there = await known(client, group)
  const gatewayNames = Array.from(
    { length: Math.ceil(devices / behindOne) },
    (_, number) => `${group}-gateway-${number}`
  )
  const gateways: Array<{ readonly name: string; readonly token: string; readonly id: string }> = []
  for (const name of gatewayNames) {
    const id =
      there.get(name) ??
      (
        await client.post<{ readonly id: string }>("/v1/devices", {
          name,
          profileId: profile.meter,
          gateway: true,
          groups: [group]
        })
      ).id
    const { token } = await client.post<{ readonly token: string }>(`/v1/devices/${id}/credentials`, {
      credential: { kind: "token" },
      othersEndAfter: 0
    })
    gateways.push({ name, id, token })
  }
  const names = Array.from({ length: devices }, (_, number) => `${group}-${number}`)
  const gatewayOf = (device: number) => Math.floor(device / behindOne)
  const around = (number: number) =>
    place === undefined
      ? {}
      : {
          // A sunflower's spiral: about a hundred metres from one to the next.
          longitude: place.longitude + 0.0008 * Math.sqrt(number) * Math.cos(number * 2.399963),
          latitude: place.latitude + 0.0006 * Math.sqrt(number) * Math.sin(number * 2.399963)
        }
  const missing = names.flatMap((name, number) =>
    there.has(name)
      ? []
      : [
          {
            name,
            profileId: profile[kindOf(number)],
            parentId: gateways[gatewayOf(number)]!.id,
            groups: [group],
            ...around(number)
          }
        ]
  )
  for (let done = 0; done < missing.length; done += 500) {
    progress(done, missing.length)
    const { items } = await client.post<Page>("/v1/devices/batch", { devices: missing.slice(done, done + 500) })
    for (const { id, name } of items) there.set(name, id)
  }
  progress(missing.length, missing.length)
  return { names, ids: names.map((name) => there.get(name)!), gateways, gatewayOf }
}

/** Asks again where the city asks to wait. */
export const patient = (client: Client): Client => ({
  ...client,
  get: async <A>(path: string): Promise<A> => {
    for (let tries = 0; ; tries++) {
      try {
        return await client.get<A>(path)
      } catch (error) {
        if (!(error instanceof HttpProblem) || error.status !== 429 || tries === 20) throw error
        await new Promise((later) => setTimeout(later, 500 * (tries + 1)))
      }
    }
  }
})
