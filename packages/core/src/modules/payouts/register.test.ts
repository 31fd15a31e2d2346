import { assert, describe, it } from "vitest"
import type { RegisterLine } from "../../ports/Payments.ts"
import { type Booked, compareRegister } from "./register.ts"

const day = Date.UTC(2026, 10, 20)
const hour = 3_600_000
const booked = (change: Partial<Booked> = {}): Booked => ({
  id: "p1",
  amount: 300n,
  currency: "UZS",
  state: "succeeded",
  reference: "r1",
  at: day + 12 * hour,
  ...change
})
const line = (change: Partial<RegisterLine> = {}): RegisterLine => ({
  id: "p1",
  reference: "r1",
  money: { amount: 300n, currency: "UZS" },
  state: "succeeded",
  at: day + 12 * hour,
  ...change
})

/** Kinds of differences, and what is booked. */
const compared = (
  lines: ReadonlyArray<RegisterLine>,
  ours: ReadonlyArray<Booked>,
  neighbours: ReadonlyArray<RegisterLine> = []
) => {
  const { differences, settlements } = compareRegister(day, lines, neighbours, ours)
  return [differences.map(({ kind }) => kind), settlements.map(({ to }) => to)]
}

describe("I14_a_register_and_our_books", () => {
  it.each([
    ["agree", [line()], [booked()], [], [[], []]],
    ["a line that is missing", [], [booked()], [], [["missing-at-rail"], []]],
    ["a line too many", [line({ id: "other" }), line()], [booked()], [], [["missing-here"], []]],
    ["another amount", [line({ money: { amount: 299n, currency: "UZS" } })], [booked()], [], [["amount"], []]],
    ["tiyin taken for sum", [line({ money: { amount: 30_000n, currency: "UZS" } })], [booked()], [], [["scale"], []]],
    ["another currency", [line({ money: { amount: 300n, currency: "USD" } })], [booked()], [], [["currency"], []]],
    ["another reference", [line({ reference: "r2" })], [booked()], [], [["reference"], []]],
    ["two payments for one id", [line(), line({ reference: "r2" })], [booked()], [], [["twice"], []]],
    ["the second on the next day", [line()], [booked()], [line({ reference: "r2" })], [["twice"], []]],
    ["booked after midnight", [], [booked({ at: day + 23.9 * hour })], [line({ at: day + 24.1 * hour })], [[], []]],
    ["days apart", [line()], [booked({ at: day - 20 * hour })], [], [["day"], []]],
    [
      "paid though failed",
      [line()],
      [booked({ state: "failed", reference: null })],
      [],
      [["late-success"], ["late-success"]]
    ],
    ["came back", [line({ state: "returned" }), line()], [booked()], [], [["returned"], ["returned"]]],
    ["came back before", [line({ state: "returned" }), line()], [booked({ state: "returned" })], [], [[], []]],
    [
      "unknown and paid",
      [line()],
      [booked({ state: "unknown", reference: null })],
      [],
      [["succeeded-late"], ["succeeded"]]
    ],
    ["unknown and not there", [], [booked({ state: "unknown", reference: null })], [], [[], []]],
    [
      "unknown, and another amount",
      [line({ money: { amount: 3n, currency: "UZS" } })],
      [booked({ state: "unknown", reference: null })],
      [],
      [["scale"], []]
    ]
  ] as const)("%s", (_, lines, ours, neighbours, expected) => {
    assert.deepEqual(compared(lines, ours, neighbours) as unknown, expected as unknown)
  })
})
