import { existsSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { readCorpus } from "./corpus.ts"
import { scoresOf } from "./detectors.ts"
import {
  at,
  crossValidated,
  normalised,
  optimum,
  probation,
  profiles,
  rowsOf,
  sweep,
  type Profile,
  type Row
} from "./score.ts"

const [standard, lowFalsePositives, lowFalseNegatives] = profiles as [Profile, Profile, Profile]
const stamp = (index: number) => `row ${index}`

/** A hundred rows, the first fifteen probation, windows by first and last row, and the rows that fire with which score. */
const file = (
  windows: ReadonlyArray<readonly [number, number]>,
  fired: Readonly<Record<number, number>>,
  name = "file"
): ReadonlyArray<Row> =>
  rowsOf({
    name,
    timestamps: Array.from({ length: 100 }, (_, index) => stamp(index)),
    windows: windows.map(([from, to]) => [stamp(from), stamp(to)]),
    scores: Array.from({ length: 100 }, (_, index) => fired[index] ?? 0)
  })
const sumAt = (rows: ReadonlyArray<Row>, threshold: number, profile = standard) =>
  at(sweep([rows], profile), threshold).sum

/** The benchmark's scoring function, worked out by hand at the places the tests need. */
const sigma = (y: number) => 2 / (1 + Math.exp(5 * y)) - 1

describe("small cases by hand", () => {
  it("counts_a_window_that_nobody_finds", () => {
    expect(sumAt(file([[40, 49]], {}), 0.5)).toBe(-1)
    expect(sumAt(file([[40, 49]], {}), 0.5, lowFalseNegatives)).toBe(-2)
  })

  it("gives_1_for_the_first_row_of_a_window_and_little_for_the_last", () => {
    expect(sumAt(file([[40, 49]], { 40: 1 }), 0.5)).toBeCloseTo(1, 12)
    expect(sumAt(file([[40, 49]], { 49: 1 }), 0.5)).toBeCloseTo(sigma(-0.1) / sigma(-1), 12)
    expect(sumAt(file([[40, 49]], { 44: 1 }), 0.5)).toBeCloseTo(sigma(-0.6) / sigma(-1), 12)
  })

  it("counts_the_best_row_of_a_window_once", () => {
    expect(sumAt(file([[40, 49]], { 41: 0.6, 42: 1, 49: 1 }), 0.5)).toBeCloseTo(sigma(-0.9) / sigma(-1), 12)
  })

  it("takes_for_a_false_alarm_what_stands_before_any_window_or_far_behind", () => {
    expect(sumAt(file([[40, 49]], { 20: 1 }), 0.5)).toBeCloseTo(-1 - 0.11, 12)
    expect(sumAt(file([[40, 49]], { 95: 1 }), 0.5)).toBeCloseTo(-1 - 0.11, 12)
    expect(sumAt(file([[40, 49]], { 20: 1 }), 0.5, lowFalsePositives)).toBeCloseTo(-1 - 0.22, 12)
  })

  it("takes_less_for_one_shortly_behind_a_window", () => {
    expect(sumAt(file([[40, 49]], { 52: 1 }), 0.5)).toBeCloseTo(-1 + 0.11 * sigma(3 / 9), 12)
  })

  it("does_not_look_at_the_probation_even_inside_a_window", () => {
    expect(probation(100)).toBe(15)
    expect(probation(9_999)).toBe(750)
    expect(sumAt(file([[40, 49]], { 3: 1, 14: 1, 40: 1 }), 0.5)).toBeCloseTo(1, 12)
    expect(sumAt(file([[10, 29]], { 14: 1 }), 0.5)).toBe(-1)
    expect(sumAt(file([[10, 29]], { 15: 1 }), 0.5)).toBeCloseTo(sigma(-15 / 20) / sigma(-1), 12)
  })

  it("chooses_the_threshold_that_brings_most", () => {
    // The window's row is worth more than the false alarm above it costs, and the one below is left out.
    const best = optimum(sweep([file([[40, 49]], { 20: 0.9, 40: 0.8, 90: 0.3 })], standard))
    expect(best).toMatchObject({ threshold: 0.8, found: 1, falsePositives: 1 })
    expect(best.sum).toBeCloseTo(1 - 0.11, 12)
  })

  it("chooses_it_for_each_fold_from_the_others", () => {
    // Four files do as well with 0.8 as with 0.6; the fifth needs 0.6 and is judged by the 0.8 of the others.
    const good = [1, 2, 3, 4].map((name) => file([[40, 49]], { 40: 0.8, 20: 0.5 }, `good ${name}`))
    const files = [...good, file([[40, 49]], { 40: 0.6, 20: 0.8 }, "odd")]
    expect(optimum(sweep(files, standard)).sum).toBeCloseTo(5 - 0.11, 12)
    expect(crossValidated(files, standard)).toBeCloseTo(4 - 1 - 0.11, 12)
  })
})

const folder = join(import.meta.dirname, "../../../shared/data/nab")
describe.skipIf(!existsSync(folder))("the corpus (left out without ../shared/data)", () => {
  const corpus = existsSync(folder) ? readCorpus(folder) : []
  const windows = 116
  const scored = (score: (name: string, index: number) => number) =>
    corpus.map((series) =>
      rowsOf({ ...series, scores: series.timestamps.map((_, index) => score(series.name, index)) })
    )

  it("is_the_one_that_was_published", () => {
    expect(corpus).toHaveLength(58)
    expect(corpus.reduce((all, { values }) => all + values.length, 0)).toBe(365_558)
    expect(corpus.reduce((all, { windows }) => all + windows.length, 0)).toBe(windows)
    expect(corpus.every(({ times, values }) => times.every(Number.isFinite) && values.every(Number.isFinite))).toBe(
      true
    )
  })

  it("gives_0_to_one_that_never_speaks_and_100_to_one_that_knows", () => {
    const firstRows = new Map(
      corpus.map(({ name, timestamps, windows }) => [
        name,
        new Set(windows.map(([from]) => Math.max(timestamps.indexOf(from), probation(timestamps.length))))
      ])
    )
    for (const profile of profiles) {
      const silent = sweep(
        scored(() => 0.5),
        profile
      )
      expect(normalised(at(silent, 1).sum, windows, profile)).toBe(0)
      const knowing = optimum(
        sweep(
          scored((name, index) => (firstRows.get(name)?.has(index) === true ? 1 : 0)),
          profile
        )
      )
      expect(normalised(knowing.sum, windows, profile)).toBeCloseTo(100, 1)
      expect(knowing).toMatchObject({ found: windows, falsePositives: 0 })
    }
  })

  it("gives_the_record_margins_of_the_product_what_is_promised", () => {
    const rows = corpus.map((series) => rowsOf({ ...series, scores: scoresOf(series, "record") }))
    expect(normalised(optimum(sweep(rows, standard)).sum, windows, standard)).toBeGreaterThanOrEqual(65)
  })
})
