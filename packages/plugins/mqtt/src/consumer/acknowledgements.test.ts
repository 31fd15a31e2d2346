import { assert, describe, it } from "@effect/vitest"
import { acknowledgements } from "./acknowledgements.ts"

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

const open = () => {
  const pieces: Array<string> = []
  return { pieces, ...acknowledgements((packets) => pieces.push(packets.toString("hex"))) }
}

describe("acknowledgements", () => {
  it("of_one_commit_leave_in_one_piece_and_in_the_order_of_arrival", async () => {
    const { expect, pending, pieces } = open()
    const [first, second, third] = [1, 2, 0x1234].map(expect)
    third!()
    second!()
    await turn()
    assert.deepStrictEqual(pieces, [])
    first!()
    await turn()
    assert.deepStrictEqual(pieces, ["40020001" + "40020002" + "40021234"])
    assert.strictEqual(pending(), 0)
  })

  it("carry_the_reason_code_of_a_refusal", async () => {
    const { expect, pieces } = open()
    const [first, second] = [7, 8].map(expect)
    first!(0x90)
    second!()
    await turn()
    assert.deepStrictEqual(pieces, ["4003000790" + "40020008"])
  })

  it("wait_for_nobody_who_is_asked_to_flush", () => {
    const { expect, flush, pieces } = open()
    expect(9)()
    flush()
    assert.deepStrictEqual(pieces, ["40020009"])
  })
})
