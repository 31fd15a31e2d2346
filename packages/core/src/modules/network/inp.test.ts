import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { assert, describe, it } from "vitest"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { makeInpReader } from "./inp.ts"
import { wordsOf } from "./inpTokens.ts"
import type { NetworkFile } from "./model.ts"

const water = join(import.meta.dirname, "../../../../../../shared/data/water")

const read = (text: string) => {
  const reader = makeInpReader()
  for (const line of text.split(/\r?\n/)) reader.take(line)
  return reader.end()
}
const good = (text: string): NetworkFile => {
  const file = read(text)
  if (file instanceof InvalidInput) assert.fail(file.message)
  return file
}
const issues = (text: string) => {
  const file = read(text)
  return file instanceof InvalidInput ? file.issues.map(({ detail, pointer }) => `${pointer} ${detail}`) : []
}

const small = `[TITLE]
A street
[junctions]
;ID  Elev  Demand
 a   10    1   day  ; a remark
"b"  11,   2
[RESERVOIRS]
 R   50
[PIPES]
 a   R a 100 200 130 0 Open
 p2  a b 100 200 130 Closed
[VALVES]
[OPTIONS]
 Units  CMH
[END]
[PIPES]
 nonsense`

describe("an EPANET input file", () => {
  it.each([
    ["a b  c", ["a", "b", "c"]],
    ["\ta,b ; c", ["a", "b"]],
    ['"two words" x', ["two words", "x"]],
    ['"a;b" c;d', ["a;b", "c"]],
    ["", []],
    ["; only a remark", []]
  ])("has_the_words_of %j", (line, words) => assert.deepStrictEqual(wordsOf(line), words))

  it("is_read_in_either_case_with_quotes_commas_and_remarks", () => {
    const { lines, points, title } = good(small)
    assert.strictEqual(title, "A street")
    assert.deepStrictEqual(
      points.map(({ demand, externalId, kind }) => [externalId, kind, demand]),
      [
        ["a", "junction", 1],
        ["b", "junction", 2],
        ["R", "reservoir", 0]
      ]
    )
    assert.deepStrictEqual(
      lines.map(({ diameter, externalId, from, length, status, to }) => [
        externalId,
        from,
        to,
        length,
        diameter,
        status
      ]),
      [
        ["a", "R", "a", 100, 200, "open"],
        ["p2", "a", "b", 100, 200, "closed"]
      ]
    )
  })

  it("is_brought_to_metres_millimetres_and_cubic_metres_an_hour", () => {
    const { lines, points } = good(small.replace("Units  CMH", "Units  gpm"))
    assert.closeTo(lines[0]!.length!, 30.48, 1e-6)
    assert.closeTo(lines[0]!.diameter!, 5080, 1e-6)
    assert.closeTo(points[0]!.demand, 0.227125, 1e-6)
  })

  it("takes_demands_statuses_tags_places_and_vertices_from_sections_in_any_order", () => {
    const { lines, points } = good(`[STATUS]
p closed
u 0
v 40
[DEMANDS]
a 1.5 day
a 0.5 night
[COORDINATES]
a 1 2
[VERTICES]
p 3 4
p 5 6
[TAGS]
LINK p Main street
[JUNCTIONS]
a 0 9
b 0
[RESERVOIRS]
r 1
[PIPES]
p a b 1 1 1 0 CV
[PUMPS]
u r a HEAD 1
[VALVES]
v a r 100 prv 40 0
[OPTIONS]
UNITS LPS
DEMAND MULTIPLIER 2`)
    assert.strictEqual(points[0]!.demand, 14.4)
    assert.deepStrictEqual(points[0]!.position, [1, 2])
    assert.strictEqual(points[1]!.position, null)
    const [pipe, pump, valve] = lines
    assert.deepStrictEqual(pipe!.vertices, [
      [3, 4],
      [5, 6]
    ])
    assert.deepStrictEqual([pipe!.status, pipe!.directed, pipe!.properties["tag"]], ["closed", true, "Main street"])
    assert.deepStrictEqual([pump!.status, pump!.directed], ["closed", true])
    assert.deepStrictEqual([valve!.status, valve!.directed, valve!.properties["valveType"]], ["open", true, "PRV"])
  })

  it("is_refused_with_section_and_line_of_every_mistake", () => {
    assert.deepStrictEqual(
      issues(`[JUNCTIONS]
a ten
a
[PIPES]
p a nowhere 1 1 1
q a
r a a 1 1 1
s a b -1 1 1
[VALVES]
v "a
[STATUS]
z OPEN
[OPTIONS]
UNITS FURLONGS`),
      [
        "#line/2 [JUNCTIONS], line 2: Elevation is not a number: ten.",
        "#line/3 [JUNCTIONS], line 3: The name a is taken by the junction of line 2.",
        "#line/6 [PIPES], line 6: A pipe has at least 6 columns; q has 2.",
        "#line/7 [PIPES], line 7: The pipe r begins and ends at a.",
        "#line/8 [PIPES], line 8: Length is below 0: -1.",
        "#line/10 [VALVES], line 10: A quotation mark is not closed.",
        "#line/14 [OPTIONS], line 14: EPANET has no unit of flow FURLONGS.",
        "#line/5 [PIPES], line 5: The pipe p ends at nowhere, which the file does not have.",
        "#line/8 [PIPES], line 8: The pipe s ends at b, which the file does not have.",
        "#line/12 [STATUS], line 12: z is not in the file."
      ]
    )
  })

  it.each(["", "hello", "%PDF-1.7 binary", "[TITLE]\nnothing", "{}"])("is_refused_when_it_is_none: %j", (text) =>
    assert.isNotEmpty(issues(text))
  )

  it("is_read_or_refused_and_never_breaks_whatever_stands_in_it", () => {
    const words = fc.constantFrom(
      "[PIPES]",
      "[junc",
      "[TANKS]",
      "[STATUS]",
      "[TAGS]",
      "a",
      "b",
      "1",
      "-2",
      "1e999",
      '"',
      ";",
      "CV",
      ",",
      "\t",
      "\n",
      "NODE"
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(words, fc.string({ maxLength: 6 })), { maxLength: 60 }), (parts) => {
        const file = read(parts.join(" "))
        if (!(file instanceof InvalidInput))
          for (const line of file.lines) assert.isTrue(file.points.some(({ externalId }) => externalId === line.from))
      })
    )
  })

  it("of_a_hundred_thousand_pipes_is_read", () => {
    const reader = makeInpReader()
    reader.take("[JUNCTIONS]")
    for (let node = 0; node <= 100_000; node++) reader.take(` n${node} 10 0.1 ;`)
    reader.take("[PIPES]")
    for (let pipe = 0; pipe < 100_000; pipe++) reader.take(` p${pipe} n${pipe} n${pipe + 1} 12.5 100 130 0 Open ;`)
    const file = reader.end()
    assert.isTrue(!(file instanceof InvalidInput) && file.lines.length === 100_000)
  })

  it.skipIf(!existsSync(water)).each([
    ["Net1", 11, 13, 0, 1],
    ["Net2", 36, 40, 0, 0],
    ["Net3", 97, 119, 0, 2],
    ["L-TOWN", 785, 909, 3, 1]
  ])("%s_is_read (left out without ../shared/data/water)", (name, points, links, valves, pumps) => {
    const file = good(readFileSync(join(water, `${name}.inp`), "utf8"))
    assert.deepStrictEqual(file.warnings, [])
    assert.strictEqual(file.points.length, points)
    assert.strictEqual(file.lines.length, links)
    assert.strictEqual(file.lines.filter(({ kind }) => kind === "valve").length, valves)
    assert.strictEqual(file.lines.filter(({ kind }) => kind === "pump").length, pumps)
    assert.isTrue(file.points.every(({ position }) => position !== null))
  })
})
