import { expect, it } from "vitest"
import { cardNumbersIn } from "./cardNumbers.ts"

const found = (text: string) => expect(cardNumbersIn(text))

it("finds_card_numbers_however_they_are_written", () => {
  found('{"pan":"4242424242424242"}').toEqual(["4242424242424242"])
  found("of 4242 4242 4242 4242, and 5555-5555-5555-4444.").toEqual(["4242 4242 4242 4242", "5555-5555-5555-4444"])
  found("pan=378282246310005\n6011111111111117").toEqual(["378282246310005", "6011111111111117"])
})

it("takes_nothing_else_for_one", () => {
  found("4242424242424241").toEqual([])
  found("424242******4242").toEqual([])
  // Both obey the check digit: a moment in milliseconds, and the end of a UUID.
  found('"at":1763789000003').toEqual([])
  found("01989fa3-4242-4242-8424-424242424242").toEqual([])
  found("a4242424242424242f 42424242424242424242424242424242 0.4242424242424242").toEqual([])
})
