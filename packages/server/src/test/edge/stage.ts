/** A city with a gateway and devices behind it, whose processes can be killed. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createCity, issueLink } from "@mahalla/core"
import { freshDatabase } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import pg from "pg"
import { serve } from "../../serve.ts"
import { makeClient } from "../client.ts"
import { cityConfig, type CityTask } from "./city.ts"
import { freePort } from "../../../../../scripts/services/port.ts"

export const slug = "samarkand"

export const definition = {
  datastreams: [{ key: "count", title: "Count", unit: "1" }],
  format: "json",
  interval: 60,
  retention: 90
}

export interface Stage {
  readonly folder: string
  readonly city: CityTask
  readonly to: string
  /** Of the gateway. */
  readonly token: string
  readonly sql: <Row extends object>(text: string, values?: ReadonlyArray<unknown>) => Promise<ReadonlyArray<Row>>
  readonly close: () => Promise<void>
}

export const openStage = async (postgresUrl: string, devices: ReadonlyArray<string>): Promise<Stage> => {
  const scope = Scope.makeUnsafe()
  const { admin, owner } = await Effect.runPromise(Scope.provide(freshDatabase(postgresUrl), scope))
  const folder = mkdtempSync(join(tmpdir(), "mahalla-edge-"))
  const task = { databaseUrl: Redacted.value(owner), home: join(folder, "city"), port: await freePort() }
  const city = createCity(cityConfig(task))
  await city.start()
  await city.admin.tenants.create({
    slug,
    name: "Samarkand",
    settings: {
      timeZone: "Asia/Samarkand",
      languages: ["en"],
      country: "UZ",
      currency: "UZS",
      calendar: { days: [1], from: "09:00", to: "18:00", holidays: [] },
      corsOrigins: []
    }
  })
  const { id } = await city.admin.principals.createStaff(slug, { name: "Nodira", roles: ["municipality-admin"] })
  const serving = await serve(city, { port: 0, host: "127.0.0.1" })
  const visitor = makeClient(`${serving.url}/t/${slug}`)
  const signedIn = await visitor.post("/v1/auth/link", { token: await city.admin.run(slug, issueLink(id)) })
  const staff = visitor.with({ authorization: `Bearer ${signedIn.body.accessToken}` })
  const { body: profile } = await staff.post("/v1/device-profiles", { name: "counter", definition })
  const { body: gateway } = await staff.post("/v1/devices", { name: "edge-1", profileId: profile.id, gateway: true })
  const made = await staff.post("/v1/devices/batch", {
    devices: devices.map((name) => ({ name, profileId: profile.id, parentId: gateway.id }))
  })
  if (made.status !== 201) throw new Error(made.text)
  const { body: credential } = await staff.post(`/v1/devices/${gateway.id}/credentials`, {
    credential: { kind: "token" }
  })
  await serving.close(2_000)
  const client = new pg.Client({ connectionString: Redacted.value(admin) })
  client.on("error", () => undefined)
  await client.connect()
  return {
    folder,
    city: { city: task },
    to: `http://127.0.0.1:${task.port}/t/${slug}`,
    token: credential.token,
    sql: async <Row extends object>(text: string, values: ReadonlyArray<unknown> = []) =>
      (await client.query<Row & pg.QueryResultRow>(text, [...values])).rows,
    close: async () => {
      await client.end()
      await Effect.runPromise(Scope.close(scope, Exit.void))
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
