import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { caseRooms, city, definitions } from "../../test/caseRooms.ts"
import { PlatformTx, withPlatform } from "../db/Database.ts"
import { type CaseTypeDefinition, defineCaseType } from "./CaseType.ts"
import { makeCaseTypes, storeCaseTypes } from "./registry.ts"

const store = (definition: CaseTypeDefinition) =>
  withPlatform(storeCaseTypes(makeCaseTypes([defineCaseType({ definition })]).all))

const { new: _, ...withoutNew } = definitions.pothole.states
const next = (version: number, change: Partial<CaseTypeDefinition> = {}): CaseTypeDefinition => ({
  ...definitions.pothole,
  version,
  ...change
})
/** Without the state in which new cases stand. */
const shrunk = (version: number, movedStates?: Record<string, string>) =>
  next(version, {
    initial: "working",
    states: withoutNew,
    transitions: { fix: definitions.pothole.transitions["fix"]! },
    ...(movedStates === undefined ? {} : { movedStates })
  })

const rows = withPlatform(
  Effect.flatMap(
    PlatformTx,
    ({ sql }) => sql<{ id: string; state: string; phase: string; version: number; type_version: number }>`
      select id, state, phase, version, type_version from mahalla.civic_case where type = 'pothole' order by id`
  )
)
const versions = withPlatform(
  Effect.flatMap(PlatformTx, ({ sql }) =>
    Effect.map(
      sql<{ version: number }>`select version from mahalla.case_type where id = 'pothole' order by version`,
      (found) => found.map((row) => row.version)
    )
  )
)

layer(caseRooms(inject("postgresUrl")), { excludeTestServices: true })("stored case types", (it) => {
  it.effect("are_stored_once_by_servers_that_start_together", () =>
    Effect.gen(function* () {
      yield* Effect.all(
        Array.from({ length: 5 }, () => store(definitions.pothole)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(yield* versions, [1])
    })
  )

  it.effect("refuse_another_content_under_a_version_that_was_stored", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(store(next(1, { title: { en: "Hole" } })))
      assert.match((error as Error).message, /version 1 was stored with another content. Count its version up/)
    })
  )

  it.effect("lose_no_state_in_which_a_case_stands_without_being_told_where_it_goes", () =>
    Effect.gen(function* () {
      const { create } = yield* city
      const made = yield* create()
      const refused = yield* Effect.flip(store(shrunk(2)))
      assert.match((refused as Error).message, /version 2 removes new \(1 cases\). Say in movedStates where they go/)
      const nowhere = yield* Effect.flip(store(shrunk(2, { new: "gone" })))
      assert.match((nowhere as Error).message, /removes new/)
      assert.deepStrictEqual(yield* versions, [1])
      assert.deepInclude((yield* rows)[0], { id: made.id, state: "new", version: 1, type_version: 1 })

      yield* store(shrunk(2, { new: "fixed" }))
      assert.deepStrictEqual(yield* versions, [1, 2])
      assert.deepStrictEqual(yield* rows, [
        { id: made.id, state: "fixed", phase: "fixed", version: 2, type_version: 2 }
      ])
      // Once more changes nothing more.
      yield* store(shrunk(2, { new: "fixed" }))
      assert.deepInclude((yield* rows)[0], { version: 2 })
    })
  )

  it.effect("refuse_a_server_that_is_older_than_they_are", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(store(definitions.pothole))
      assert.match((error as Error).message, /stored as version 2, newer than 1. Start the newer deployment/)
    })
  )

  it.effect("take_a_version_that_only_adds", () =>
    Effect.gen(function* () {
      yield* store(next(3))
      assert.deepInclude((yield* rows)[0], { state: "fixed", version: 2, type_version: 3 })
    })
  )
})
