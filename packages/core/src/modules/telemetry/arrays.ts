/**
 * Columns of numbers as PostgreSQL's own text of an array: the driver takes an array's type from its elements one by one, refuses 1 beside 1.5, and is
 * slower at it.
 */
export const numbers = <Row>(rows: ReadonlyArray<Row>, of: (row: Row) => number | null): string => {
  let text = "{"
  for (let place = 0; place < rows.length; place++) text += (place === 0 ? "" : ",") + (of(rows[place]!) ?? "null")
  return text + "}"
}
