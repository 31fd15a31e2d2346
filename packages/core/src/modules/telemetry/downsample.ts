/**
 * Fewer points that look the same. Largest triangle three buckets: Sveinn Steinarsson, Downsampling Time Series for Visual Representation (University
 * of Iceland, 2013).
 */
export interface Point {
  /** Epoch milliseconds. */
  readonly at: number
  readonly value: number
}

/** Of each bucket the point that makes the largest triangle with its neighbours; first and last stay. `size` is 3 at least. */
export const largestTriangles = (points: ReadonlyArray<Point>, size: number): ReadonlyArray<Point> => {
  if (points.length <= size) return points
  const every = (points.length - 2) / (size - 2)
  const kept = [points[0]!]
  for (let bucket = 0; bucket < size - 2; bucket++) {
    const from = Math.floor(bucket * every) + 1
    const to = Math.floor((bucket + 1) * every) + 1
    const end = Math.min(Math.floor((bucket + 2) * every) + 1, points.length)
    let [meanAt, meanValue] = [0, 0]
    for (let place = to; place < end; place++) {
      meanAt += points[place]!.at
      meanValue += points[place]!.value
    }
    meanAt /= end - to
    meanValue /= end - to
    const last = kept.at(-1)!
    let best = from
    let most = -1
    for (let place = from; place < to; place++) {
      const { at, value } = points[place]!
      const area = Math.abs((last.at - meanAt) * (value - last.value) - (last.at - at) * (meanValue - last.value))
      if (area > most) {
        most = area
        best = place
      }
    }
    kept.push(points[best]!)
  }
  kept.push(points.at(-1)!)
  return kept
}
