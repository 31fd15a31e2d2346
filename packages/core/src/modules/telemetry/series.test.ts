import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inject } from "vitest"
import { intakeMigrations, openIntake } from "../../test/intakeRoom.ts"
import { testKernel } from "../../testing/kernel.ts"
import { getDatastream } from "./datastreams.ts"
import { chartOf } from "./series.ts"

const now = Date.now()
const day = 86_400_000

layer(testKernel({ postgresUrl: inject("postgresUrl"), migrations: intakeMigrations }), { excludeTestServices: true })(
  "a chart",
  (it) => {
    it.effect("of_forty_days_is_drawn_in_triangles_too", () =>
      Effect.gen(function* () {
        const { as, follow, intake, message, rows } = yield* openIntake(now)
        for (const age of [39, 20, 1])
          yield* intake.receive([message("p1", [{ key: "pressure", at: now - age * day, value: age }])])
        yield* follow.settle
        const [{ id }] = (yield* rows(
          (sql) => sql<{ id: string }>`
            select s.id from mahalla.datastream s join mahalla.device d on d.tenant_id = s.tenant_id and d.id = s.device_id where d.name = 'p1'`
        )) as [{ id: string }]
        const span = { from: new Date(now - 40 * day), to: new Date(now) }
        const { points, resolution } = yield* as(
          Effect.flatMap(getDatastream(id), (datastream) => chartOf(datastream, span, 1000, "triangles"))
        )
        assert.strictEqual(resolution, "minute")
        assert.deepStrictEqual(
          points.map(({ value }) => value),
          [39, 20, 1]
        )
      })
    )
  }
)
