import { Secret, TOTP } from "otpauth"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { readMigration } from "../../kernel/db/Migration.ts"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import { resealTurn, rotateTenantKey } from "../../kernel/personal/reseal.ts"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { after } from "../../test/movedClock.ts"
import { sealedSecrets } from "./sealed.ts"
import { beginTotp, takeTotp } from "./totp.ts"

const migrations = ["0001_identity", "0002_sessions-and-factors"].map((name) =>
  readMigration("identity", new URL(`./migrations/${name}.sql`, import.meta.url))
)
const rooms = Layer.provideMerge(
  Keys.layer(Redacted.make("a secret for the tests of second factors")),
  testKernel({ postgresUrl: inject("postgresUrl"), migrations, maxConnections: 24 })
)

layer(rooms, { excludeTestServices: true })("codes of an authenticator app", (it) => {
  it.effect("case_17_are_taken_one_step_early_or_late_and_never_twice_or_backwards", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const inside = withTenant(tenantId)
      const { id } = yield* createPrincipal(tenantId, { kind: "staff" })
      const { secret, uri } = yield* inside(beginTotp(id!, "Samarkand", "Somebody"))
      assert.strictEqual(Secret.fromBase32(secret).bytes.length, 20)
      assert.match(uri, /^otpauth:\/\/totp\/Samarkand:Somebody\?issuer=Samarkand&secret=[A-Z2-7]{32}&/)
      // Time stands at the middle of a step while the test runs.
      const now = yield* Clock.currentTimeMillis
      const toMiddle = (Math.floor(now / 30_000) * 30_000 + 15_000 - now) / 1000
      const at = (seconds: number) => after(toMiddle + seconds)
      const code = (step: number) =>
        new TOTP({ secret: Secret.fromBase32(secret) }).generate({
          timestamp: Math.floor(now / 30_000) * 30_000 + 15_000 + step * 30_000
        })
      const take = (step: number, seconds = 0, confirmed = true) =>
        at(seconds)(inside(takeTotp(id!, code(step), confirmed)))
      assert.isFalse(yield* take(0), "one that is being set up proves nothing")
      assert.isFalse(yield* take(-2, 0, false))
      assert.isTrue(yield* take(-1, 0, false), "a clock that is late by a step sets it up")
      assert.isFalse(yield* take(-1), "and its code is used up by that")
      assert.isFalse(yield* take(2), "two steps are too many")
      assert.isTrue(yield* take(1), "one is not")
      assert.isFalse(yield* take(0), "nothing goes back behind a code that was taken")
      const race = yield* Effect.forEach(Array.from({ length: 20 }), () => take(2, 60), { concurrency: "unbounded" })
      assert.strictEqual(race.filter((taken) => taken).length, 1)
      assert.strictEqual((yield* Effect.flip(inside(beginTotp(id!, "Samarkand", "Somebody"))))._tag, "Refused")
    })
  )

  it.effect("have_secrets_that_open_in_their_own_row_alone_and_outlive_a_change_of_keys", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const inside = withTenant(tenantId)
      const [{ id }, { id: other }] = [
        yield* createPrincipal(tenantId, { kind: "staff" }),
        yield* createPrincipal(tenantId, { kind: "staff" })
      ]
      const { secret } = yield* inside(beginTotp(id!, "Samarkand", "Somebody"))
      yield* inside(beginTotp(other!, "Samarkand", "Somebody else"))
      const now = yield* Clock.currentTimeMillis
      const code = (step: number) =>
        new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: now + step * 30_000 })
      const rows = inside(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql<{ id: string; secret: string }>`
            select principal_id as id, secret from mahalla.totp where tenant_id = ${tenantId}`
        )
      )
      const before = yield* rows
      assert.isFalse(JSON.stringify(before).includes(secret))
      assert.isTrue(yield* inside(takeTotp(id!, code(0), false)))
      assert.strictEqual(yield* rotateTenantKey(tenantId, [sealedSecrets]), 2)
      while ((yield* resealTurn([sealedSecrets])) > 0);
      const after = yield* rows
      assert.deepStrictEqual(
        after.map((row) => row.secret.slice(0, 5)),
        ["v1.2.", "v1.2."]
      )
      assert.isTrue(yield* inside(takeTotp(id!, code(1), true)))
      // Somebody else's does not open here.
      const theirs = after.find((row) => row.id === other)!.secret
      yield* inside(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql`
            update mahalla.totp set secret = ${theirs}, last_step = 0 where tenant_id = ${tenantId} and principal_id = ${id}`
        )
      )
      assert.strictEqual((yield* Effect.exit(inside(takeTotp(id!, code(1), true))))._tag, "Failure")
    })
  )
})
