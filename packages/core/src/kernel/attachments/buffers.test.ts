import fc from "fast-check"
import { assert, describe, it } from "vitest"
import { bufferBudget, type Buffers, giveBack, leastSegment, segmentSize, takeBuffer } from "./buffers.ts"

describe("buffers of uploads", () => {
  it("hold_no_more_than_the_budget_and_the_least_for_each_whoever_comes_and_goes", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 3 * segmentSize })), {
          minLength: 200,
          maxLength: 400
        }),
        (steps) => {
          const buffers: Buffers = { held: 0 }
          const out: Array<Buffer> = []
          for (const [leaves, wanted] of steps) {
            if (leaves && out.length > 20) giveBack(buffers, out.shift()!)
            else {
              const buffer = takeBuffer(buffers, wanted)
              assert.isAtLeast(buffer.length, Math.min(wanted, leastSegment))
              assert.isAtMost(buffer.length, Math.min(wanted, segmentSize))
              out.push(buffer)
            }
            const sum = out.reduce((bytes, buffer) => bytes + buffer.length, 0)
            assert.strictEqual(buffers.held, sum)
            assert.isAtMost(sum, bufferBudget + out.length * leastSegment)
          }
        }
      ),
      { numRuns: 20 }
    )
  })

  it("are_whole_segments_while_few_are_sending", () => {
    const buffers: Buffers = { held: 0 }
    for (let n = 0; n < 16; n++) assert.strictEqual(takeBuffer(buffers, 2 ** 30).length, segmentSize)
  })
})
