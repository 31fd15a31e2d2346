/** A city with webhooks: makes endpoints, and writes events at a pace, saying when each was about to be. */
import { createCity, identity, security, webhooks } from "@mahalla/core"
import { TenantTx } from "@mahalla/core/module"
import { defaults } from "@mahalla/server"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { appendEvent } from "../../packages/core/src/kernel/events/append.ts"
import { defineEvent } from "../../packages/core/src/kernel/events/Event.ts"
import { newId } from "../../packages/core/src/kernel/ids.ts"
import { createEndpoint } from "../../packages/core/src/modules/webhooks/endpoints.ts"
import { secret, tenant, tenantSlug } from "../report/city.ts"

export type Asked =
  | { readonly what: "endpoints"; readonly urls: ReadonlyArray<string>; readonly type: string }
  | { readonly what: "pace"; readonly type: string; readonly amount: number; readonly every: number }

const { databaseUrl, home } = JSON.parse(process.argv[2]!) as { readonly databaseUrl: string; readonly home: string }
const city = createCity({
  home,
  secret,
  plugins: defaults({ databaseUrl, payments: "none" }),
  modules: [security(), identity(), webhooks()],
  mode: "dev",
  logFormat: "json",
  logLevel: "Warn",
  outwardNetworks: ["127.0.0.0/8"]
})
await city.start()
const { tenantId } = await city.admin.tenants.create(tenant)
const engine = city.as({ tenant: tenantSlug, principal: "system" })

/** An app that may hear of everything. */
const app = Effect.gen(function* () {
  const { sql } = yield* TenantTx
  const id = yield* newId
  yield* sql`insert into mahalla.principal (tenant_id, id, kind) values (${tenantId}, ${id}, 'app')`
  yield* sql`
    insert into mahalla.role_grant (tenant_id, id, principal_id, role, granted_at)
    values (${tenantId}, ${yield* newId}, ${id}, 'auditor', now())`
  return id
})

const answer = async (asked: Asked) => {
  if (asked.what === "endpoints") {
    const ids: Array<string> = []
    for (let from = 0; from < asked.urls.length; from += 20)
      await engine.run(
        Effect.gen(function* () {
          const owner = yield* app
          for (const url of asked.urls.slice(from, from + 20))
            ids.push((yield* createEndpoint({ url, types: [asked.type] }, owner)).row.id)
        })
      )
    return { ids }
  }
  const type = defineEvent({ id: asked.type, payload: Schema.Struct({ number: Schema.Int }) })
  const sent: Array<readonly [string, number]> = []
  const began = performance.now()
  const running: Array<Promise<void>> = []
  for (let number = 0; number < asked.amount; number++) {
    const wait = began + number * asked.every - performance.now()
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
    const at = performance.timeOrigin + performance.now()
    running.push(engine.run(appendEvent(type, { number })).then((id) => void sent.push([`evt_${id}`, at])))
  }
  await Promise.all(running)
  return { sent }
}

process.on("message", (asked) => void answer(asked as Asked).then((said) => process.send?.(said)))
process.on("disconnect", () => void city.close().then(() => process.exit(0)))
process.send?.({ tenantId })
