import { Secret, TOTP } from "otpauth"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { readMigration } from "../../kernel/db/Migration.ts"
import { withTenant } from "../../kernel/db/Database.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { after } from "../../test/movedClock.ts"
import { seal, unseal } from "./sealing.ts"
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

  it.effect("have_secrets_that_open_in_their_own_row_alone", () =>
    Effect.gen(function* () {
      const sealed = yield* seal("a city", "totp somebody", "JBSWY3DPEHPK3PXP")
      assert.notStrictEqual(sealed, yield* seal("a city", "totp somebody", "JBSWY3DPEHPK3PXP"))
      assert.strictEqual(yield* unseal("a city", "totp somebody", sealed), "JBSWY3DPEHPK3PXP")
      const fails = (tenant: string, row: string, text: string) =>
        Effect.map(Effect.exit(unseal(tenant, row, text)), (exit) => exit._tag === "Failure")
      assert.isTrue(yield* fails("a city", "totp somebody else", sealed))
      assert.isTrue(yield* fails("another city", "totp somebody", sealed))
      const bytes = Buffer.from(sealed, "base64url")
      for (const place of bytes.keys()) {
        const changed = Buffer.from(bytes)
        changed[place]! ^= 1
        assert.isTrue(yield* fails("a city", "totp somebody", changed.toString("base64url")), `byte ${place}`)
      }
    })
  )
})
