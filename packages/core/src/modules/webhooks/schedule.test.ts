import { assert, describe, it } from "@effect/vitest"
import { goodStanding, isDelivered, isGone, pauseAfter, schedule, type Standing, standingAfter } from "./schedule.ts"

const answer = (status: number | null, retryAfter?: number) => ({ status, retryAfter })
const second = 1_000
const hour = 3_600 * second
const day = 24 * hour
const start = Date.UTC(2026, 10, 20)

describe("the schedule", () => {
  it("has_ten_attempts_over_three_days", () => {
    const bad = answer(500)
    const pauses = Array.from({ length: 10 }, (_, done) => pauseAfter(done + 1, bad, 0))
    assert.deepEqual(
      pauses.slice(0, 9).map((pause) => pause! / second),
      [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
    )
    assert.isUndefined(pauses[9])
    const whole = schedule.reduce((sum, pause) => sum + pause, 0) / 86_400
    assert.isTrue(whole > 3 && whole < 3.3)
  })

  it("comes_later_by_chance_and_never_earlier", () => {
    for (const random of [0, 0.25, 0.5, 1]) {
      const pause = pauseAfter(2, answer(null), random)!
      assert.strictEqual(pause, Math.round(300 * (1 + 0.2 * random)) * second)
    }
  })

  it.each([
    [200, true],
    [204, true],
    [299, true],
    [199, false],
    [301, false],
    [302, false],
    [307, false],
    [400, false],
    [410, false],
    [500, false],
    [null, false]
  ])("%s is success: %s", (status, good) => {
    assert.strictEqual(isDelivered(answer(status)), good)
    assert.strictEqual(isGone(answer(status)), status === 410)
  })

  it.each([
    [429, 120, 120],
    [429, undefined, 5],
    [503, 900, 900],
    [502, 30, 30],
    [504, 4, 5],
    // What is not meant to slow down asks for nothing.
    [500, 900, 5],
    // Nobody is waited for longer than a day.
    [429, 1e9, 86_400]
  ])("after %s with Retry-After %s the next attempt is in %s seconds", (status, retryAfter, seconds) => {
    assert.strictEqual(pauseAfter(1, answer(status, retryAfter), 0), seconds * second)
  })
})

describe("an endpoint", () => {
  const after = (
    outcomes: ReadonlyArray<readonly [at: number, status: number | null, retryAfter?: number | undefined]>
  ) => {
    let standing: Standing = goodStanding
    let failing = false
    for (const [at, status, retryAfter] of outcomes)
      ({ failing, standing } = standingAfter(standing, answer(status, retryAfter), start + at, 0))
    return { ...standing, failing }
  }

  it("is_left_alone_for_longer_with_each_failure_in_a_row_a_minute_at_most", () => {
    const rests: Array<number> = []
    let standing: Standing = goodStanding
    for (let turn = 0; turn < 12; turn++) {
      const at = start + turn * hour
      standing = standingAfter(standing, answer(500), at, 0).standing
      rests.push(Math.max(0, ((standing.restUntil ?? 0) - at) / second))
    }
    assert.deepEqual(rests, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60])
    assert.deepEqual(standingAfter(standing, answer(200), start, 0), { standing: goodStanding, failing: false })
  })

  it.each([
    [429, undefined, 5],
    [429, 300, 300],
    [502, undefined, 5],
    [504, 20, 20],
    [400, 300, 0],
    [null, undefined, 0]
  ])("that answers %s with Retry-After %s rests for %s seconds at once", (status, retryAfter, seconds) => {
    const { restUntil } = after([[0, status, retryAfter]])
    assert.strictEqual(restUntil === null ? 0 : (restUntil - start) / second, seconds)
  })

  it.each<readonly [string, ReadonlyArray<readonly [number, number]>, boolean]>([
    [
      "five days after the third failure of a day",
      [
        [0, 500],
        [hour, 500],
        [2 * hour, 500],
        [5 * day + 2 * hour, 500]
      ],
      true
    ],
    [
      "not a second before",
      [
        [0, 500],
        [hour, 500],
        [2 * hour, 500],
        [5 * day + 2 * hour - 1, 500]
      ],
      false
    ],
    [
      "not where two failures came in a day",
      [
        [0, 500],
        [hour, 500],
        [2 * day, 500],
        [6 * day, 500]
      ],
      false
    ],
    [
      "not where one arrived in between",
      [
        [0, 500],
        [1, 500],
        [2, 500],
        [4 * day, 200],
        [6 * day, 500]
      ],
      false
    ],
    [
      "counted anew after a success",
      [
        [0, 500],
        [1, 500],
        [2, 500],
        [day, 200],
        [2 * day, 500],
        [2 * day + 1, 500],
        [2 * day + 2, 500],
        [6.9 * day, 500]
      ],
      false
    ]
  ])("is_given_up_%s", (_, outcomes, failing) => {
    assert.strictEqual(after(outcomes).failing, failing)
  })
})
