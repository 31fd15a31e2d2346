/** The flows again by a client of other hands: Authlib, as Debian has it. */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { ensureService } from "../../../../scripts/services/debian.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { callback, consent, newApp } from "./oauth/kit.ts"

let kit: CityKit
let python: { readonly program: string; readonly packages: string }
beforeAll(async () => {
  // Fails with the names of the packages where they cannot be had.
  const { programs, root } = await ensureService("authlib")
  // A Python of somebody's own may come first on PATH, and knows nothing of Debian's packages.
  const program = root === "/" ? "/usr/bin/python3" : programs["python3"]!
  python = { program, packages: join(root, "usr/lib/python3/dist-packages") }
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
})
afterAll(() => kit?.close())

const script = fileURLToPath(new URL("./oauth/authlib_client.py", import.meta.url))
const run = async (step: string, given: Record<string, unknown>) => {
  const { stdout } = await promisify(execFile)(python.program, [script, step, JSON.stringify(given)], {
    env: { PATH: process.env["PATH"], PYTHONPATH: python.packages, AUTHLIB_INSECURE_TRANSPORT: "1" }
  })
  return JSON.parse(stdout) as Record<string, never>
}

test("Authlib_signs_a_citizen_in_checks_the_id_token_renews_asks_and_revokes", async () => {
  const app = await newApp(kit.samarkand, await kit.samarkand.citizen("+998907600001"))
  const given = { issuer: app.issuer, id: app.id, secret: app.secret, callback, resource: app.resource }
  const begun = await run("begin", given)
  const answer = await consent(kit, kit.samarkand, new URL(String(begun["url"])))
  const done = await run("finish", {
    ...given,
    ...begun,
    answer: answer.href,
    api: `${kit.url}/t/samarkand/v1/cases?owner=me`
  })
  expect(done).toMatchObject({
    issuer: app.issuer,
    audience: app.id,
    userinfo: true,
    api: 200,
    rotated: true,
    active: true,
    activeAfterRevocation: false,
    apiAfterRevocation: 401,
    reuse: "invalid_grant"
  })
})

test("Authlib_acts_as_an_app_of_its_own", async () => {
  const app = await newApp(kit.samarkand, await kit.samarkand.citizen("+998907600002"), {
    grantTypes: ["client_credentials"],
    redirectUris: [],
    scopes: ["cases.read-all"]
  })
  const done = await run("itself", {
    issuer: app.issuer,
    id: app.id,
    secret: app.secret,
    resource: app.resource,
    api: `${kit.url}/t/samarkand/v1/cases`
  })
  expect(done).toMatchObject({ type: "Bearer", scope: "cases.read-all", api: 200 })
})
