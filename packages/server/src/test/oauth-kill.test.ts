/** `kill -9` between the moment a code is used and its answer: the code is spent, and nothing that works was left behind. */
import { spawn, type ChildProcess } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freshDatabase } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import pg from "pg"
import { afterEach, expect, inject, test } from "vitest"
import { makeClient, until } from "./client.ts"
import type { CityKit, TenantKit } from "./cityKit.ts"
import { anyPhone, callback, codeFor, consent, newApp, requestOf, tokenCall } from "./oauth/kit.ts"

const cleanUp: Array<() => unknown> = []
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step()
})

interface Started {
  readonly child: ChildProcess
  readonly kit: Pick<CityKit, "url">
  readonly tenant: TenantKit
}

const start = async (databaseUrl: string, home: string, port: number): Promise<Started> => {
  const child = spawn(
    process.execPath,
    [
      "--conditions=@mahalla/source",
      "--disable-warning=ExperimentalWarning",
      join(import.meta.dirname, "oauth/killable.ts"),
      JSON.stringify({ databaseUrl, home, port })
    ],
    { stdio: ["ignore", "ignore", "inherit", "ipc"] }
  )
  cleanUp.push(() => child.kill("SIGKILL"))
  const ready = await new Promise<{ port: number; link: string }>((resolve, reject) => {
    child.once("message", (message) => resolve(message as { port: number; link: string }))
    child.once("exit", (code) => reject(new Error(`The city ended with ${code}`)))
  })
  const url = `http://127.0.0.1:${ready.port}`
  const visitor = makeClient(`${url}/t/samarkand`)
  const { body } = await visitor.post("/v1/auth/link", { token: ready.link })
  const admin = visitor.with({ authorization: `Bearer ${body.accessToken}` })
  const tenant = { slug: "samarkand", visitor, staff: { "municipality-admin": admin } } as unknown as TenantKit
  return { child, kit: { url }, tenant }
}

const died = (child: ChildProcess) =>
  new Promise<void>((resolve) => {
    child.once("exit", () => resolve())
    child.kill("SIGKILL")
  })

test("a_code_that_was_being_used_when_the_server_was_killed_is_spent", async () => {
  const scope = Scope.makeUnsafe()
  cleanUp.push(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  const { admin, owner } = await Effect.runPromise(Scope.provide(freshDatabase(inject("postgresUrl")), scope))
  const home = mkdtempSync(join(tmpdir(), "mahalla-oauth-kill-"))
  cleanUp.push(() => rmSync(home, { recursive: true, force: true }))
  const database = new pg.Client({ connectionString: Redacted.value(admin) })
  database.on("error", () => {})
  await database.connect()
  cleanUp.push(() => database.end())

  const first = await start(Redacted.value(owner), home, 0)
  const { kit, tenant } = first
  const phone = anyPhone()
  await tenant.visitor.post("/v1/auth/code", { phone })
  const { body: session } = await tenant.visitor.post("/v1/auth/session", { phone, code: await codeFor(tenant, phone) })
  const app = await newApp(tenant, tenant.visitor.with({ authorization: `Bearer ${session.accessToken}` }))
  const request = await requestOf(app)
  const answer = await consent(kit as CityKit, tenant, request.url)
  const redemption = {
    grant_type: "authorization_code",
    code: answer.searchParams.get("code")!,
    redirect_uri: callback,
    code_verifier: request.verifier,
    resource: app.resource
  }

  // Whoever writes a token of this grant waits for its row, which is held here: the server has used the code and cannot answer.
  await database.query("begin")
  await database.query("select from mahalla.oauth_grant for update")
  const call = tokenCall(app, redemption).catch((cause: unknown) => cause)
  await until("the code is used", async () => {
    const { rowCount } = await database.query(
      "select from mahalla.oauth_record where model = 'AuthorizationCode' and consumed_at is not null"
    )
    return rowCount === 1
  })
  await died(first.child)
  expect(await call).toBeInstanceOf(Error)
  await database.query("rollback")

  const second = await start(Redacted.value(owner), home, Number(new URL(kit.url).port))
  const again = await tokenCall(app, redemption)
  expect([again.status, again.body.error]).toEqual([400, "invalid_grant"])
  const { rows } = await database.query<{ revoked_by: string; tokens: number }>(
    `select g.revoked_by, (select count(*)::int from mahalla.oauth_record r where r.model = 'RefreshToken') as tokens from mahalla.oauth_grant g`
  )
  expect(rows).toEqual([{ revoked_by: "reuse", tokens: 0 }])
  // The citizen may let the app in again at once.
  const next = await requestOf(app)
  const fresh = await consent(second.kit as CityKit, second.tenant, next.url)
  const good = await tokenCall(app, {
    ...redemption,
    code: fresh.searchParams.get("code")!,
    code_verifier: next.verifier
  })
  expect(good.status).toBe(200)
})
