/** Whether two sorts of requests can be told apart by how long they take: ranks of times that were taken in turns. */

/** The chance that one of the first takes longer than one of the second (Mann and Whitney's U, as a share): 0.5 where nothing differs. */
const longerThan = (first: ReadonlyArray<number>, second: ReadonlyArray<number>): number => {
  let wins = 0
  for (const one of first) for (const other of second) wins += one > other ? 1 : one === other ? 0.5 : 0
  return wins / (first.length * second.length)
}

const median = (times: ReadonlyArray<number>): number =>
  times.toSorted((one, other) => one - other)[Math.floor(times.length / 2)]!

/**
 * True where somebody who asks often could tell them apart. Both must be so: nearly every one of one sort is slower than nearly every one of
 * the other, which in equal sorts of thirty happens once in a million times, and the medians differ by more than a machine under load makes them.
 */
export const toldApart = (first: ReadonlyArray<number>, second: ReadonlyArray<number>): boolean => {
  const share = longerThan(first, second)
  const [one, other] = [median(first), median(second)]
  return Math.abs(share - 0.5) > 0.35 && Math.abs(one - other) > Math.max(3, 0.1 * Math.min(one, other))
}

/** Milliseconds that something takes. */
export const timed = async (ask: () => Promise<unknown>): Promise<number> => {
  const from = performance.now()
  await ask()
  return performance.now() - from
}
