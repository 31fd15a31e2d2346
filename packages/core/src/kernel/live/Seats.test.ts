import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { makeSeats } from "./Seats.ts"

const person = (id: string | null) => ({ id, tenantId: "samarkand" })

it.effect("has_a_place_for_as_many_as_a_process_carries_and_takes_it_back", () =>
  Effect.gen(function* () {
    const seats = makeSeats(3, 2)
    const scope = yield* Scope.make()
    const sit = (id: string | null, ip: string) => Scope.provide(seats.take(person(id), ip), scope)
    yield* sit("a", "10.0.0.1")
    yield* sit("a", "10.0.0.2")
    assert.strictEqual(seats.refusal(person("a"), "10.0.0.3")?.status, 429)
    // Somebody of the same name in another city is somebody else.
    assert.isUndefined(seats.refusal({ id: "a", tenantId: "bukhara" }, "10.0.0.3"))
    yield* sit("b", "10.0.0.1")
    assert.strictEqual(seats.refusal(person("c"), "10.0.0.1")?.status, 503)
    yield* Scope.close(scope, Exit.void)
    assert.isUndefined(seats.refusal(person("a"), "10.0.0.3"))
  })
)

it.effect("counts_visitors_by_their_address", () =>
  Effect.gen(function* () {
    const seats = makeSeats(10, 1)
    yield* Effect.scoped(
      Effect.gen(function* () {
        yield* seats.take(person(null), "2001:db8::1")
        assert.strictEqual(seats.refusal(person(null), "2001:db8::2")?.status, 429)
        assert.isUndefined(seats.refusal(person(null), "2001:db9::1"))
      })
    )
  })
)
