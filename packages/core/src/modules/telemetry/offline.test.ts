/** Whether a device is there, by its own words; on a real database. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { get } from "sparkplug-payload"
import type { UMetric } from "sparkplug-payload/lib/sparkplugbpayload.js"
import { inject } from "vitest"
import { intakeMigrations, openIntake } from "../../test/intakeRoom.ts"
import { testKernel } from "../../testing/kernel.ts"

const now = Date.now()
const tahu = get("spBv1.0")!
const bdSeq = { name: "bdSeq", type: "UInt64", value: 3 } as UMetric
const pressure = { name: "pressure", type: "Float", value: 4.5 } as UMetric

const open = Effect.gen(function* () {
  const city = yield* openIntake(now)
  const [node] = yield* city.add([{ name: "edge-1", gateway: true }])
  const word = (type: "NBIRTH" | "NDEATH", metrics: Array<UMetric>, receivedAt: number) => ({
    ...city.message("edge-1", "", receivedAt),
    payload: tahu.encodePayload({ timestamp: receivedAt, metrics, ...(type === "NBIRTH" ? { seq: 0 } : {}) }),
    format: "sparkplug" as const,
    topic: `spBv1.0/plant/${type}/edge-1`
  })
  const birth = (at: number) => word("NBIRTH", [bdSeq, pressure], at)
  const death = (at: number) => word("NDEATH", [bdSeq], at)
  const offline = Effect.andThen(
    city.follow.settle,
    city.rows(
      (sql) => sql<{ offline: boolean }>`
        select offline_since is not null as offline from mahalla.device_presence where device_id = ${node!.id}`
    )
  )
  return { ...city, birth, death, offline }
})

layer(testKernel({ postgresUrl: inject("postgresUrl"), migrations: intakeMigrations }), { excludeTestServices: true })(
  "an edge node",
  (it) => {
    it.effect("that_dies_right_after_its_readings_is_gone", () =>
      Effect.gen(function* () {
        const { birth, death, intake, offline } = yield* open
        yield* intake.receive([birth(now - 2), death(now - 1)])
        assert.deepStrictEqual(yield* offline, [{ offline: true }])
      })
    )

    it.effect("that_is_born_again_right_after_its_death_is_there", () =>
      Effect.gen(function* () {
        const { birth, death, intake, offline } = yield* open
        yield* intake.receive([birth(now - 9)])
        yield* intake.receive([death(now - 2), birth(now - 1)])
        assert.deepStrictEqual(yield* offline, [{ offline: false }])
      })
    )
  }
)
