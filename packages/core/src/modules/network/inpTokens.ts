/** One line of an EPANET input file as words. EPANET 2.2 User Manual, appendix C.2 (input file format). */

/** Undefined where a quotation mark is not closed. Everything after a semicolon outside quotes is a remark. */
export const wordsOf = (line: string): ReadonlyArray<string> | undefined => {
  if (!line.includes('"')) {
    const end = line.indexOf(";")
    const text = (end < 0 ? line : line.slice(0, end)).trim()
    return text === "" ? [] : text.split(/[\s,]+/)
  }
  const words: Array<string> = []
  let rest = line
  for (;;) {
    rest = rest.replace(/^[\s,]+/, "")
    if (rest === "" || rest.startsWith(";")) return words
    if (rest.startsWith('"')) {
      const end = rest.indexOf('"', 1)
      if (end < 0) return undefined
      words.push(rest.slice(1, end))
      rest = rest.slice(end + 1)
    } else {
      const word = /^[^\s,;"]+/.exec(rest)?.[0] ?? rest
      words.push(word)
      rest = rest.slice(word.length)
    }
  }
}

/** Sections that say something of the network. EPANET knows a section by its first four letters, in whatever case. */
const known = [
  "TITLE",
  "JUNCTIONS",
  "RESERVOIRS",
  "TANKS",
  "PIPES",
  "PUMPS",
  "VALVES",
  "DEMANDS",
  "STATUS",
  "TAGS",
  "OPTIONS",
  "COORDINATES",
  "VERTICES",
  "END"
] as const
export type InpSection = (typeof known)[number]

/** Sections about calculations and drawings. */
const passedOver = /^(PATT|CURV|CONT|RULE|ENER|EMIT|LEAK|QUAL|SOUR|REAC|MIXI|TIME|REPO|LABE|BACK|ROUG)/

/** `passed over`: EPANET has it and we do not need it; undefined: nobody has it. */
export const sectionOf = (header: string): InpSection | "passed over" | undefined => {
  const name = header.replace(/^\[/, "").replace(/\].*$/, "").trim().toUpperCase()
  if (name === "END") return "END"
  if (name.length < 4) return undefined
  const found = known.find((one) => one.slice(0, 4) === name.slice(0, 4))
  return found ?? (passedOver.test(name) ? "passed over" : undefined)
}
