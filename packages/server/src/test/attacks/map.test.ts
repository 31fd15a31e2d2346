/** The table of attack cases in `docs/decisions/attacks.md` says what is there: every test it names runs, and every test with a number is in it. */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"

const repository = join(import.meta.dirname, "../../../../..")
const read = (file: string) => readFileSync(join(repository, file), "utf8")

interface Row {
  readonly number: number
  readonly title: string
  readonly file: string
}

const rows: ReadonlyArray<Row> = [
  ...read("docs/decisions/attacks.md").matchAll(/^\| (\d+) +\|[^|]*\| `([^`]+)` +\| `([^`]+)` +\|$/gm)
].map(([, number, title, file]) => ({ number: Number(number), title: title!, file: file! }))

/** Titles of tests that run, as they stand in a source: none that is skipped or waits to be written. */
const titlesOf = (source: string): ReadonlySet<string> =>
  new Set(
    [...source.matchAll(/\b(?:test|it|rule)(?:\.(?:effect|live|scoped))?\(\s*(["'`])((?:(?!\1).)+)\1/g)].map(
      ([, , title]) => title!
    )
  )

test("every_case_has_tests_and_every_test_of_the_table_is_there_and_runs", () => {
  const demanded = [...Array.from({ length: 25 }, (_, index) => index + 1), 27, 36, 38, 39]
  expect(demanded.filter((number) => !rows.some((row) => row.number === number))).toEqual([])
  const titles = new Map(rows.map(({ file }) => [file, titlesOf(read(file))]))
  expect(rows.filter(({ file, title }) => titles.get(file)?.has(title) !== true)).toEqual([])
})

test("every_test_with_a_number_is_in_the_table_under_it", () => {
  const missing: Array<string> = []
  let seen = 0
  for (const file of globSync("packages/{core,server,cli}/src/**/*.test.ts", { cwd: repository }))
    for (const title of titlesOf(read(file))) {
      const number = /^case_(\d+)_/.exec(title)?.[1]
      if (number === undefined) continue
      seen++
      if (!rows.some((row) => row.number === Number(number) && row.title === title && row.file === file))
        missing.push(`${file}: ${title}`)
    }
  expect(missing).toEqual([])
  expect(seen).toBeGreaterThan(50)
})
