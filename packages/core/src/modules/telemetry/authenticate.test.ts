import { randomBytes, randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inject } from "vitest"
import { intakeMigrations, openIntake } from "../../test/intakeRoom.ts"
import { testKernel } from "../../testing/kernel.ts"
import { stillValid } from "./authenticate.ts"
import { revokeProvisioning } from "./provisioning.ts"

layer(testKernel({ postgresUrl: inject("postgresUrl"), migrations: intakeMigrations }), { excludeTestServices: true })(
  "a session",
  (it) => {
    it.effect("of_a_certificate_ends_with_the_authority_that_has_signed_it", () =>
      Effect.gen(function* () {
        const { as, devices, rows, tenantId } = yield* openIntake(Date.now())
        const [authority] = yield* rows(
          (sql) => sql<{ id: string }>`
            insert into mahalla.device_provisioning (tenant_id, id, profile_id, kind, lookup, label)
            select tenant_id, gen_random_uuid(), id, 'x509', ${randomBytes(32)}, 'factory' from mahalla.device_profile
            returning id`
        )
        const { id: deviceId } = devices[0]!
        const session = { id: randomUUID(), deviceId, tenantId, tenant: "t", device: "p1", gateway: false }
        const valid = Effect.isSuccess(stillValid(session, { provisioning: authority!.id }))
        assert.isTrue(yield* valid)
        yield* as(revokeProvisioning(authority!.id))
        assert.isFalse(yield* valid)
      })
    )
  }
)
