import { expect, it } from "vitest"
import { cardNumbersIn } from "./cardNumbers.ts"

it("finds_card_numbers_however_they_are_written", () => {
  expect(cardNumbersIn('{"pan":"4242424242424242"}')).toEqual(["4242424242424242"])
  expect(cardNumbersIn("of 4242 4242 4242 4242, and 5555-5555-5555-4444.")).toEqual([
    "4242 4242 4242 4242",
    "5555-5555-5555-4444"
  ])
  expect(cardNumbersIn("pan=378282246310005\n6011111111111117")).toEqual(["378282246310005", "6011111111111117"])
})

it("takes_nothing_else_for_one", () => {
  expect(cardNumbersIn("4242424242424241")).toEqual([])
  expect(cardNumbersIn("424242******4242")).toEqual([])
  // Both obey the check digit: a moment in milliseconds, and the end of a UUID.
  expect(cardNumbersIn('"at":1763789000009')).toEqual([])
  expect(cardNumbersIn("01989fa3-4242-4242-8424-424242424242")).toEqual([])
  expect(cardNumbersIn("a4242424242424242f 42424242424242424242424242424242 0.4242424242424242")).toEqual([])
})
