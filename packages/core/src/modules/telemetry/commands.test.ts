/** Commands between the city and its transports; on a real database. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inject } from "vitest"
import { Policy } from "../../kernel/policy/Policy.ts"
import { presetRoles, rolesOf } from "../../kernel/policy/presets.ts"
import { intakeMigrations, openIntake } from "../../test/intakeRoom.ts"
import { testKernel } from "../../testing/kernel.ts"
import { makeCodecSandbox } from "./decode/codec/sandbox.ts"
import { noteCommands, sendCommand, waitingCommands } from "./commands.ts"
import { Downlinks, makeDownlinks, makeHost } from "./Host.ts"
import { Intake } from "./Intake.ts"

const open = Effect.gen(function* () {
  const city = yield* openIntake(Date.now())
  const policy = { roles: rolesOf(presetRoles, []) }
  const host = Effect.gen(function* () {
    const downlinks = yield* makeDownlinks(yield* makeCodecSandbox())
    return yield* makeHost.pipe(Effect.provideService(Downlinks, downlinks), Effect.provideService(Intake, city.intake))
  }).pipe(Effect.provideService(Policy, policy))
  const [first, second] = city.devices
  const command = yield* city.as(sendCommand(first!.id, { method: "openValve", params: {} }))
  const state = city.rows(
    (sql) => sql<{ state: string }>`select state from mahalla.device_command where id = ${command.id}`
  )
  return { ...city, host, command, state, other: second!.id }
})

layer(testKernel({ postgresUrl: inject("postgresUrl"), migrations: intakeMigrations }), { excludeTestServices: true })(
  "a command",
  (it) => {
    it.effect("is_handed_over_by_one_of_two_processes", () =>
      Effect.gen(function* () {
        const { command, host } = yield* open
        const hosts = [yield* host, yield* host]
        const said = yield* Effect.forEach(
          hosts,
          ({ commandState }) => Effect.isSuccess(commandState(command.id, { state: "sent" })),
          { concurrency: 2 }
        )
        assert.strictEqual(said.filter((accepted) => accepted).length, 1)
      })
    )

    it.effect("is_offered_though_another_city_has_a_thousand_waiting", () =>
      Effect.gen(function* () {
        const { command } = yield* open
        const many = yield* open
        yield* many.rows(
          (sql) => sql`
            insert into mahalla.device_command (tenant_id, id, device_id, method, params, created_at, changed_at, expires_at)
            select tenant_id, gen_random_uuid(), device_id, method, params, created_at, changed_at, now() + interval '1 minute'
            from mahalla.device_command cross join generate_series(1, 1200)`
        )
        const offered = yield* waitingCommands
        assert.isTrue(offered.some(({ id }) => id === command.id))
      })
    )

    it.effect("that_nobody_was_there_to_take_waits_again_unless_more_is_known_of_it", () =>
      Effect.gen(function* () {
        const { command, host, state } = yield* open
        const { commandState } = yield* host
        const heard: Array<string> = []
        for (const news of ["sent", "queued", "sent", "delivered", "queued"] as const) {
          yield* commandState(command.id, { state: news })
          heard.push((yield* state)[0]!.state)
        }
        assert.deepStrictEqual(heard, ["sent", "queued", "sent", "delivered", "delivered"])
      })
    )

    it.effect("is_answered_by_its_own_device_only", () =>
      Effect.gen(function* () {
        const { command, devices, other, state, tenantId } = yield* open
        const delivered = { id: command.id, state: { state: "delivered" } } as const
        yield* noteCommands(tenantId, [{ ...delivered, from: other }])
        assert.deepStrictEqual(yield* state, [{ state: "queued" }])
        // What a network server says of a downlink that is nobody's keeps back nothing.
        yield* noteCommands(tenantId, [
          { id: "", state: { state: "sent" } },
          { ...delivered, from: devices[0]!.id }
        ])
        assert.deepStrictEqual(yield* state, [{ state: "delivered" }])
      })
    )
  }
)
