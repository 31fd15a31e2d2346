import * as fc from "fast-check"
import { expect, it } from "vitest"
import { inverse, times } from "./matrix.ts"

it("inverts_what_is_positive_definite", () => {
  const values = fc.integer({ min: 1, max: 12 }).chain((size) =>
    fc.record({
      size: fc.constant(size),
      root: fc.array(fc.double({ min: -5, max: 5, noNaN: true }), { minLength: size * size, maxLength: size * size })
    })
  )
  fc.assert(
    fc.property(values, ({ root, size }) => {
      // A root times itself and 1 on the diagonal.
      const matrix = Float64Array.from({ length: size * size }, (_, place) => {
        const [row, column] = [Math.floor(place / size), place % size]
        return root
          .slice(0, size)
          .reduce((sum, _value, k) => sum + root[row * size + k]! * root[column * size + k]!, row === column ? 1 : 0)
      })
      const inverted = inverse(matrix, size)!
      for (let column = 0; column < size; column++) {
        const unit = Float64Array.from({ length: size }, (_, row) => (row === column ? 1 : 0))
        const back = times(matrix, times(inverted, unit))
        back.forEach((value, row) => expect(value).toBeCloseTo(unit[row]!, 6))
      }
    })
  )
})

it("says_of_others_that_they_are_not", () => {
  expect(inverse(Float64Array.from([1, 2, 2, 1]), 2)).toBeUndefined()
  expect(inverse(Float64Array.from([0]), 1)).toBeUndefined()
})
