/** What tests of the main job share: a city with everything real, whose payment rail loses every answer after it has paid. */
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { ffmpeg } from "@mahalla/ffmpeg"
import { plates } from "@mahalla/plates"
import { sandboxPayments } from "@mahalla/sandbox-payments"
import { inject } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { type Client, until } from "./client.ts"

export const photographs = fileURLToPath(new URL("../../../../../shared/data/plates-eu", import.meta.url))
if (!existsSync(photographs)) throw new Error(`The photographs of cars are missing: ${photographs}`)

export const openMainJob = () =>
  openCityKit({
    postgresUrl: inject("postgresUrl"),
    encoder: ffmpeg({}),
    detector: plates({ countries: ["EU"] }),
    payments: sandboxPayments({ faults: { "lost-after": 1 }, timeout: 1_000 })
  })

export const stateOf = async (client: Client, path: string) => (await client.get(path)).body.state as string
export const inState = (client: Client, path: string, state: string, seconds = 120) =>
  until(`${path} is ${state}`, async () => (await stateOf(client, path)) === state, seconds)

/** Proposed and decided violations of a report. */
export const violationsOf = async (kit: CityKit, id: string): Promise<ReadonlyArray<Record<string, never>>> =>
  (await kit.samarkand.staff.inspector.get(`/v1/cases?type=traffic-violation&parent=${id}`)).body.items
export const violationAt = (violation: { id: string }) => `/v1/cases/traffic-violation/${violation.id}`
