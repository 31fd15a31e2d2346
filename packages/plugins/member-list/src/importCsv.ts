/**
 * Members from a table: CSV with the columns `number`, and `birthDate`, `name` and `left` where they are wanted. A file with a mistake is
 * refused as a whole, with the line and never with what stands in it.
 */
import { isBirthDate, normalNumber } from "@mahalla/core/plugin"
import { parse } from "csv-parse/sync"
import { entryOf } from "./entries.ts"
import type { MemberList } from "./listFile.ts"
import { isMemberNumber } from "./number.ts"

const columns = ["number", "birthDate", "name", "left"]

/** Throws with the line and what is wrong there. */
export const importCsv = (key: string, text: string): MemberList => {
  const rows = parse(text, {
    bom: true,
    trim: true,
    skip_empty_lines: true,
    info: true,
    columns: true
  }) as ReadonlyArray<{
    readonly info: { readonly lines: number }
    readonly record: Readonly<Record<string, string>>
  }>
  const [first] = rows
  if (first === undefined) throw new Error("There is no member in the table.")
  const given = Object.keys(first.record)
  const unknown = given.filter((name) => !columns.includes(name))
  if (unknown.length > 0 || !given.includes("number"))
    throw new Error(
      `The first line must name the columns: number, and any of ${columns.slice(1).join(", ")}; nothing else.`
    )
  const needs = (["birthDate", "name"] as const).filter((name) => given.includes(name))
  const members = new Map<string, string | null>()
  const numbers = new Set<string>()
  for (const { info, record } of rows) {
    const wrong = (what: string) => new Error(`Line ${info.lines}: ${what}`)
    const { birthDate = "", left = "", name = "" } = record
    const number = normalNumber(record["number"] ?? "")
    if (!isMemberNumber(number)) throw wrong("number must have 1 to 40 letters and digits.")
    if (numbers.has(number)) throw wrong("this number stands in the table twice.")
    if (needs.includes("birthDate") && !isBirthDate(birthDate)) throw wrong("birthDate must be a day as 1990-07-31.")
    if (needs.includes("name") && name === "") throw wrong("name is empty.")
    if (left !== "" && !isBirthDate(left)) throw wrong("left must be a day as 2026-01-31, or empty.")
    numbers.add(number)
    members.set(entryOf(key, needs, { number, birthDate, name }), left === "" ? null : left)
  }
  return { needs, members }
}
