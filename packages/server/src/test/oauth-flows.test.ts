/** Every flow of the OAuth provider, driven over HTTP by a client that is not ours. */
import * as oauth from "oauth4webapi"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import type { Client } from "./client.ts"
import { type App, connected, newApp } from "./oauth/kit.ts"

let kit: CityKit
let developer: Client
let app: App
beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  developer = await kit.samarkand.citizen("+998907000001")
  app = await newApp(kit.samarkand, developer)
})
afterAll(() => kit?.close())

describe("authorization code with PKCE", () => {
  test("gives_a_citizens_app_tokens_that_open_what_was_ticked", async () => {
    const { tokens } = await connected(kit, kit.samarkand, app)
    expect(tokens.expires_in).toBeLessThanOrEqual(900)
    const caller = kit.samarkand.visitor.with({ authorization: `Bearer ${tokens.access_token}` })
    const list = await caller.get("/v1/cases?owner=me")
    expect([list.status, list.body.items]).toEqual([200, []])
    const me = await caller.get("/v1/me")
    expect(me.status).toBe(403)
    void oauth
  })
})
