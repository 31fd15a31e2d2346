import { assert, describe, it } from "@effect/vitest"
import { makeTurns } from "./Turns.ts"

const lane = (tenantId: string, endpointId: string) => ({ tenantId, endpointId })

describe("turns", () => {
  it("go_round_tenants_first_and_the_endpoints_of_each_then", () => {
    const turns = makeTurns()
    for (let place = 0; place < 1_000; place++) turns.add(lane("large", `l${place}`))
    turns.add(lane("small", "s"))
    const seen = Array.from({ length: 6 }, () => turns.next()!.endpointId)
    assert.deepEqual(seen, ["l0", "s", "l1", "s", "l2", "s"])
  })

  it("leave_out_who_was_removed_and_count_nobody_twice", () => {
    const turns = makeTurns()
    const [a, b] = [lane("t", "a"), lane("t", "b")]
    for (const one of [a, b, a]) turns.add(one)
    assert.deepEqual(
      Array.from({ length: 4 }, () => turns.next()!.endpointId),
      ["a", "b", "a", "b"]
    )
    turns.remove(a)
    assert.deepEqual([turns.next(), turns.next()], [b, b])
    turns.remove(b)
    turns.remove(b)
    assert.isUndefined(turns.next())
  })
})
