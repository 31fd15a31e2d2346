/** The little linear algebra that a group of sensors needs. Matrices are row by row in one array. */

/** What a matrix holds at (row, column). */
const at = (matrix: Float64Array, size: number, row: number, column: number) => matrix[row * size + column]!

/**
 * Inverse of a symmetric positive definite matrix by Cholesky's decomposition (Golub and Van Loan, Matrix Computations, 4.2). `undefined`
 * where it is not positive definite.
 */
export const inverse = (matrix: Float64Array, size: number): Float64Array | undefined => {
  const lower = new Float64Array(size * size)
  for (let row = 0; row < size; row++)
    for (let column = 0; column <= row; column++) {
      let sum = at(matrix, size, row, column)
      for (let k = 0; k < column; k++) sum -= at(lower, size, row, k) * at(lower, size, column, k)
      if (row !== column) lower[row * size + column] = sum / at(lower, size, column, column)
      else if (sum > 0) lower[row * size + row] = Math.sqrt(sum)
      else return undefined
    }
  // The inverse of the triangle, then its square.
  const triangle = new Float64Array(size * size)
  for (let column = 0; column < size; column++)
    for (let row = column; row < size; row++) {
      let sum = row === column ? 1 : 0
      for (let k = column; k < row; k++) sum -= at(lower, size, row, k) * at(triangle, size, k, column)
      triangle[row * size + column] = sum / at(lower, size, row, row)
    }
  const result = new Float64Array(size * size)
  for (let row = 0; row < size; row++)
    for (let column = 0; column <= row; column++) {
      let sum = 0
      for (let k = row; k < size; k++) sum += at(triangle, size, k, row) * at(triangle, size, k, column)
      result[row * size + column] = sum
      result[column * size + row] = sum
    }
  return result
}

export const dot = (left: Float64Array, right: Float64Array): number => {
  let sum = 0
  for (let index = 0; index < left.length; index++) sum += left[index]! * right[index]!
  return sum
}

/** A square matrix times a vector. */
export const times = (matrix: Float64Array, vector: Float64Array): Float64Array => {
  const size = vector.length
  const result = new Float64Array(size)
  for (let row = 0; row < size; row++) {
    let sum = 0
    for (let column = 0; column < size; column++) sum += matrix[row * size + column]! * vector[column]!
    result[row] = sum
  }
  return result
}
