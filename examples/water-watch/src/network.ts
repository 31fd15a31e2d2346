/** The pipes of a city: this folder's made-up network, or a real one from the file that `WATER_NETWORK` names. */
import { readFile } from "node:fs/promises"
import { basename } from "node:path"
import type { Call } from "./api.ts"
import { onMap, type Place, type WaterCity } from "./data.ts"

const own = new URL("../network.inp", import.meta.url)
/** Meters that a network from elsewhere gets. */
const meters = 30

interface Asset {
  readonly id: string
  readonly externalId: string
  readonly geometry: { readonly type: string; readonly coordinates: ReadonlyArray<number> } | null
}

export interface PlacedDevice extends Partial<Place> {
  readonly name: string
  readonly profile: string
  readonly groups: ReadonlyArray<string>
  /** Where it is mounted. */
  readonly assetId?: string
}

const waited = async (call: Call, id: string) => {
  for (;;) {
    const { error, state } = await call("GET", `/v1/network-imports/${id}`)
    if (state === "failed") throw new Error(`The network could not be read: ${String(error)}`)
    if (state === "done") return
    await new Promise((later) => setTimeout(later, 500))
  }
}

/** Reads an EPANET file into the network of this name, its point (0, 0) at the city's place; the network's id. */
const importFrom = async (call: Call, name: string, file: string | URL, { longitude, latitude }: Place) => {
  const found = async () => (await call("GET", "/v1/networks")).items.find((network) => network.name === name)?.id
  const known = await found()
  if (known !== undefined) return known
  const query = new URLSearchParams({
    network: name,
    format: "epanet",
    longitude: String(longitude),
    latitude: String(latitude)
  })
  const { id } = await call("POST", `/v1/network-imports?${query}`, await readFile(file, "utf8"))
  await waited(call, id)
  return (await found())!
}

const assetsOf = async (call: Call, network: string, kinds: string): Promise<ReadonlyArray<Asset>> => {
  const all: Array<Asset> = []
  for (let cursor = ""; ;) {
    const page = await call("GET", `/v1/assets?network=${network}&kind=${kinds}&limit=200${cursor}`)
    all.push(...(page.items as unknown as ReadonlyArray<Asset>))
    if (page["cursor"] === undefined) return all
    cursor = `&cursor=${String(page["cursor"])}`
  }
}

/** The devices of the city's list, each at the node that it is named after. */
const atOwnNodes = (city: WaterCity, assets: ReadonlyArray<Asset>): ReadonlyArray<PlacedDevice> => {
  const byName = new Map(assets.map(({ externalId, id }) => [externalId, id]))
  return city.devices.map(({ at, groups, name, profile }) => {
    const assetId = byName.get(name.replace(/-[a-z]+$/, ""))
    return { name, profile, groups, ...onMap(city.place, at), ...(assetId === undefined ? {} : { assetId }) }
  })
}

/** Meters evenly over the junctions of a network that nobody has drawn for this example. */
const atSomeNodes = (assets: ReadonlyArray<Asset>): ReadonlyArray<PlacedDevice> => {
  const step = Math.max(1, Math.floor(assets.length / meters))
  return assets
    .filter((_, place) => place % step === 0)
    .slice(0, meters)
    .map(({ externalId, geometry, id }) => {
      const [longitude, latitude] = geometry?.coordinates ?? []
      const place = longitude === undefined || latitude === undefined ? {} : { longitude, latitude }
      return { name: `${externalId}-meter`, profile: "pipe-meter", groups: ["network"], assetId: id, ...place }
    })
}

/** The city's network, and the devices that belong to it. */
export const layPipes = async (call: Call, city: WaterCity): Promise<ReadonlyArray<PlacedDevice>> => {
  const given = process.env["WATER_NETWORK"]
  if (given === undefined || given === "") {
    const network = await importFrom(call, "water", own, city.place)
    return atOwnNodes(city, await assetsOf(call, network, "junction,tank,reservoir"))
  }
  const network = await importFrom(call, basename(given), given, city.place)
  return atSomeNodes(await assetsOf(call, network, "junction"))
}
