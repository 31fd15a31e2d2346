/**
 * EPANET input files (`.inp`), line by line: memory grows with the network and not with the file. EPANET 2.2 User Manual, appendix C.2.
 * Units are brought to ours; curves, controls and results are passed over.
 */
import type { InvalidInput } from "../../kernel/cases/model.ts"
import { makeFindings } from "./findings.ts"
import { assembleInp, type RawLine, type RawPoint } from "./inpAssemble.ts"
import { type InpSection, sectionOf, wordsOf } from "./inpTokens.ts"
import type { NetworkFile, Position } from "./model.ts"
import { unitsOf } from "./units.ts"

export interface InpReader {
  /** One line without its end. Lines after `[END]` are not read. */
  readonly take: (line: string) => void
  /** The whole network, or everything that is wrong with the file. */
  readonly end: () => NetworkFile | InvalidInput
}

/** No town has more of anything, and factors do not lead out of what a double holds. */
const largest = 1e12

const numberOf = (word: string | undefined): number | undefined => {
  const value = word === undefined || word === "" ? Number.NaN : Number(word)
  return Math.abs(value) <= largest ? value : undefined
}

export const makeInpReader = (): InpReader => {
  const findings = makeFindings()
  const points = new Map<string, RawPoint>()
  const lines = new Map<string, RawLine>()
  /** Sections may come in any order: what speaks of others waits until all are known. */
  const later: Array<() => void> = []
  let number = 0
  let section: InpSection | "passed over" | "unknown" | undefined
  let title = ""
  let units = unitsOf("GPM")!
  let demandFactor = 1

  const wrong = (detail: string, line = number, where: string | undefined = section) =>
    findings.add(`#line/${line}`, `[${where ?? "no section"}], line ${line}: ${detail}`)

  const idOf = (word: string | undefined): string | undefined => {
    // What was no UTF-8 reads as U+FFFD: two names may have become one.
    if (word?.includes("\uFFFD") === true) {
      wrong(`The name ${word.slice(0, 40)} is not in UTF-8. Save the file in that encoding.`)
      return undefined
    }
    if (word !== undefined && word.length >= 1 && word.length <= 100) return word
    wrong(word === undefined ? "A name is missing." : "A name has 1 to 100 characters.")
    return undefined
  }

  /** Numbers that may be missing at the end of the line, but not be something else. */
  const numbers = (words: ReadonlyArray<string>, names: ReadonlyArray<string>, least = -Infinity) =>
    names.map((name, place) => {
      const word = words[place]
      if (word === undefined) return null
      const value = numberOf(word)
      if (value === undefined) wrong(`${name} is not a number: ${word.slice(0, 40)}.`)
      else if (value < least) wrong(`${name} is below ${least}: ${word.slice(0, 40)}.`)
      return value ?? null
    })

  const point = (kind: RawPoint["kind"], words: ReadonlyArray<string>, names: ReadonlyArray<string>) => {
    const id = idOf(words[0])
    if (id === undefined) return
    const there = points.get(id)
    if (there !== undefined) return wrong(`The name ${id} is taken by the ${there.kind} of line ${there.line}.`)
    const values = numbers(words.slice(1), names)
    const pattern = kind === "tank" ? undefined : words[names.length + 1]
    points.set(id, { kind, line: number, values, pattern, position: null, demands: undefined, tag: undefined })
  }

  const link = (kind: RawLine["kind"], words: ReadonlyArray<string>, least: number) => {
    const id = idOf(words[0])
    if (id === undefined) return
    const there = lines.get(id)
    if (there !== undefined) return wrong(`The name ${id} is taken by the ${there.kind} of line ${there.line}.`)
    if (words.length < least) return wrong(`A ${kind} has at least ${least} columns; ${id} has ${words.length}.`)
    const [, from, to, ...rest] = words as [string, string, string, ...Array<string>]
    if (from === to) return wrong(`The ${kind} ${id} begins and ends at ${from}.`)
    const columns = kind === "pipe" ? ["Length", "Diameter", "Roughness"] : kind === "valve" ? ["Diameter"] : []
    numbers(rest, columns, 0)
    lines.set(id, { kind, line: number, from, to, words: rest, vertices: [], status: undefined, tag: undefined })
    const [line, where] = [number, section]
    later.push(() => {
      for (const end of [from, to])
        if (!points.has(end)) wrong(`The ${kind} ${id} ends at ${end}, which the file does not have.`, line, where)
    })
  }

  /** Something said of a point or a line of another section. */
  const about = <A>(
    things: ReadonlyMap<string, A>,
    id: string,
    say: (thing: A) => void,
    missing: (text: string) => void
  ) => {
    later.push(() => {
      const thing = things.get(id)
      if (thing === undefined) missing(`${id} is not in the file.`)
      else say(thing)
    })
  }

  const placeOf = (words: ReadonlyArray<string>): Position | undefined => {
    const [x, y] = [numberOf(words[1]), numberOf(words[2])]
    if (x !== undefined && y !== undefined) return [x, y]
    wrong(`A place is a name and two numbers: ${words.join(" ").slice(0, 60)}`)
    return undefined
  }

  const warned = (where: string, line: number) => (text: string) => findings.warn(`[${where}], line ${line}: ${text}`)

  const rows: Record<InpSection, (words: ReadonlyArray<string>) => void> = {
    TITLE: () => undefined,
    END: () => undefined,
    JUNCTIONS: (words) => point("junction", words, ["Elevation", "Demand"]),
    RESERVOIRS: (words) => point("reservoir", words, ["Head"]),
    TANKS: (words) =>
      point("tank", words, ["Elevation", "Initial level", "Minimum level", "Maximum level", "Diameter"]),
    PIPES: (words) => link("pipe", words, 6),
    PUMPS: (words) => link("pump", words, 4),
    VALVES: (words) => link("valve", words, 6),
    DEMANDS: (words) => {
      if (words[0]?.toUpperCase() === "MULTIPLY") return
      const [line, demand] = [number, numberOf(words[1])]
      if (words[0] === undefined || demand === undefined) return wrong("A demand is a junction's name and a number.")
      about(
        points,
        words[0],
        (found) => (found.demands = (found.demands ?? 0) + demand),
        (text) => wrong(text, line, "DEMANDS")
      )
    },
    STATUS: (words) => {
      const [line, status] = [number, words[1]?.toUpperCase()]
      if (
        words[0] === undefined ||
        status === undefined ||
        !(/^(OPEN|CLOSED|ACTIVE)$/.test(status) || numberOf(status) !== undefined)
      )
        return wrong("A status is a name with OPEN, CLOSED, ACTIVE or a number.")
      about(
        lines,
        words[0],
        (found) => (found.status = status),
        (text) => wrong(text, line, "STATUS")
      )
    },
    TAGS: (words) => {
      const [line, id, tag] = [number, words[1], words.slice(2).join(" ")]
      if (id === undefined || tag === "") return wrong("A tag is NODE or LINK, a name and a text.")
      const missing = warned("TAGS", line)
      if (/^LINK$/i.test(words[0]!)) about(lines, id, (found) => (found.tag = tag), missing)
      else about(points, id, (found) => (found.tag = tag), missing)
    },
    OPTIONS: (words) => {
      const name = words[0]?.toUpperCase()
      if (name === "UNITS") {
        const given = unitsOf(words[1] ?? "")
        if (given === undefined) wrong(`EPANET has no unit of flow ${(words[1] ?? "").slice(0, 20)}.`)
        else units = given
      }
      if (name === "DEMAND" && words[1]?.toUpperCase() === "MULTIPLIER") {
        const factor = numberOf(words[2])
        if (factor === undefined) wrong("The demand multiplier is not a number.")
        else demandFactor = factor
      }
    },
    COORDINATES: (words) => {
      const position = placeOf(words)
      if (position === undefined) return
      about(points, words[0]!, (found) => (found.position = position), warned("COORDINATES", number))
    },
    VERTICES: (words) => {
      const position = placeOf(words)
      if (position === undefined) return
      about(lines, words[0]!, (found) => void found.vertices.push(position), warned("VERTICES", number))
    }
  }

  return {
    take: (line) => {
      number++
      if (section === "END") return
      if (number === 1) line = line.replace(/^\uFEFF/, "")
      const header = /^\s*\[[^\]]*\]?/.exec(line)?.[0]
      if (header !== undefined) {
        section = sectionOf(header.trim()) ?? "unknown"
        if (section === "unknown")
          findings.warn(`Line ${number}: the section ${header.trim().slice(0, 40)} is not known.`)
        return
      }
      if (section === "TITLE") {
        if (title === "") title = line.trim().slice(0, 200)
        return
      }
      if (section === "passed over" || section === "unknown") return
      const words = wordsOf(line)
      if (words === undefined) return wrong("A quotation mark is not closed.")
      if (words.length === 0) return
      if (section === undefined) return wrong("The file begins without a section, as [JUNCTIONS].")
      rows[section](words)
    },
    end: () => {
      for (const settle of later) settle()
      if (points.size === 0 && findings.failure() === undefined)
        findings.add("", "The file has no junction, reservoir or tank: is it an EPANET input file?")
      return (
        findings.failure() ?? assembleInp({ title, points, lines, units, demandFactor, warnings: findings.warnings() })
      )
    }
  }
}
