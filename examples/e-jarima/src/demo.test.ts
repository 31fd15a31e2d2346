/** The demo data: whole, also after a start that was broken off. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type City, createCity } from "@mahalla/core"
import { TenantTx } from "@mahalla/core/module"
import { freshDatabase } from "@mahalla/core/testing"
import { environmentOf } from "@mahalla/server"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { afterAll, beforeAll, expect, inject, it } from "vitest"
import config from "../mahalla.config.ts"
import { demo } from "./demo.ts"

const scope = Scope.makeUnsafe()
let home: string
let city: City

beforeAll(async () => {
  const { owner } = await Effect.runPromise(Scope.provide(freshDatabase(inject("postgresUrl")), scope))
  home = mkdtempSync(join(tmpdir(), "mahalla-demo-"))
  const { demo: _, ...deployment } = config(environmentOf({ DATABASE_URL: Redacted.value(owner) }, "dev"))
  city = createCity({ ...deployment, home, mode: "dev", only: [], logLevel: "Error" })
  await city.start()
})
afterAll(async () => {
  await city?.close()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(home, { recursive: true, force: true })
})

const counted = () =>
  city.admin.run(
    demo.tenant,
    Effect.flatMap(TenantTx, ({ sql }) =>
      Effect.map(
        sql<Record<string, number>>`
          select (select count(*)::int from mahalla.territory) as territories, (select count(*)::int from mahalla.offence) as offences,
                 (select count(*)::int from mahalla.principal) as people, (select count(*)::int from mahalla.ledger_transfer) as transfers`,
        (rows) => rows[0]
      )
    )
  )
const without = (statement: (sql: TenantTx["Service"]["sql"]) => Effect.Effect<unknown, unknown>) =>
  city.admin.run(
    demo.tenant,
    Effect.flatMap(TenantTx, ({ sql }) => statement(sql))
  )

it("is_whole_after_any_number_of_starts_that_were_broken_off", async () => {
  // As two servers that start on one fresh database: neither of them fails.
  const seed = () => city.admin.alone("demo", () => demo.seed(city))
  await Promise.all([seed(), seed(), seed()])
  const whole = await counted()
  expect(whole).toEqual({ territories: 4, offences: 5, people: 3, transfers: 1 })
  // Broken off before the last member of staff, and before all of them.
  const [elena] = await city.admin.staffWithRole(demo.tenant, "treasurer")
  expect(elena?.name).toBe("Elena Kim")
  await without((sql) => sql`update mahalla.principal set status = 'blocked' where id = ${elena!.id}`)
  await demo.seed(city)
  expect(await city.admin.staffWithRole(demo.tenant, "treasurer")).toHaveLength(1)
  expect(await counted()).toEqual({ ...whole, people: 4 })
  await demo.seed(city)
  expect(await counted()).toEqual({ ...whole, people: 4 })
})
