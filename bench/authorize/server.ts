/**
 * Our server, whole or without what decides about rights: `server.ts <owner's database address> <home> <superuser's address> with|without`.
 * Without: nobody's token is looked at, every permission is given, no transaction has a tenant, and the database knows no policy for the
 * log-in. The handler, its statements and its transaction are the same.
 */
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { identity, security } from "@mahalla/core"
import { defaults } from "@mahalla/server"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import { makeHttpApp } from "../../packages/core/src/engine/http/app.ts"
import { openCity } from "../../packages/core/src/engine/runtime.ts"
import { Database, layerDatabase } from "../../packages/core/src/kernel/db/Database.ts"
import type { Erased } from "../../packages/core/src/kernel/Erased.ts"
import { Authentication } from "../../packages/core/src/kernel/http/Authentication.ts"
import { tenantBySlug } from "../../packages/core/src/kernel/tenancy/resolve.ts"
import { benchModule, connections, secret, tenantSlug } from "../report/city.ts"

const [databaseUrl = "", home = "", admin = "", how = "with", citizen = "", token = ""] = process.argv.slice(2)

/** Every statement goes through but the one that sets the tenant. */
const withoutTenant = (sql: SqlClient): SqlClient =>
  new Proxy(sql, {
    apply: (target, self, args: Array<Erased>) =>
      String(args[0]?.[0] ?? "").startsWith("SELECT set_config('mahalla.tenant'")
        ? Effect.void
        : Reflect.apply(target as Erased, self, args)
  })

const scope = Scope.makeUnsafe()
const config = {
  home,
  secret,
  plugins: defaults({ databaseUrl, payments: "none" }),
  modules: [security(), identity(), benchModule()],
  logLevel: "Warn" as const,
  only: ["api" as const]
}

const open = Effect.gen(function* () {
  const runtime = yield* openCity(config)
  let { context } = runtime
  if (how === "without") {
    const tenant = yield* Effect.provideContext(tenantBySlug(tenantSlug), context)
    const actor = { id: citizen, kind: "system" as const, tenantId: tenant.tenantId, grants: [] }
    const { platform } = Context.getUnsafe(context as Context.Context<Database>, Database)
    const url = Redacted.make(admin)
    const maxConnections = connections + 5
    const free = yield* Layer.build(layerDatabase({ app: url, platform: url, maxConnections, pooled: false }))
    const app = withoutTenant(Context.get(free, Database).app)
    context = Context.add(context, Database, { app, platform }) as typeof context
    context = Context.add(context, Authentication, {
      actorOf: () => Effect.succeed({ actor, tenant })
    }) as typeof context
  }
  const { app, services } = yield* Effect.provideContext(makeHttpApp(config, { ...runtime, context }), context)
  return yield* Effect.provideContext(NodeHttpServer.makeHandler(app, { scope }), services)
})

const handler = await Effect.runPromise(Scope.provide(open, scope))
const server = createServer(handler).listen(0, "127.0.0.1")
await once(server, "listening")
console.log(JSON.stringify({ port: (server.address() as AddressInfo).port, facts: { token } }))
await once(process.stdin.resume(), "end")
process.exit(0)
