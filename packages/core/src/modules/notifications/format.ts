/**
 * Words with places for values: ICU MessageFormat. What cannot be filled in is found when a template is saved; what is missing when it is sent
 * becomes a dash, never a word of a program.
 */
import { type MessageFormatElement, parse, TYPE } from "@formatjs/icu-messageformat-parser"
import { IntlMessageFormat } from "intl-messageformat"

export type Values = Readonly<Record<string, string | number>>

/** Characters that a value has at most; the lines of a digest are all there. */
const longestOf = (name: string) => (name === "items" ? 100_000 : 1_000)
const missing = "—"

/** Control characters, and those that turn the direction of what follows: a name must not rearrange the sentence around it. */
const unwanted = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff]/g

/** A value as it may stand in any message. */
export const clean = (value: string, name = ""): string => {
  const longest = longestOf(name)
  const text = value.slice(0, longest * 4).replaceAll(unwanted, "")
  return text.length > longest ? `${text.slice(0, longest)}…` : text
}

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}
export const escapeHtml = (text: string): string => text.replaceAll(/[&<>"']/g, (sign) => escapes[sign]!)

interface Used {
  readonly name: string
  /** Where a number must stand. */
  readonly counted: boolean
}

const usedIn = (elements: ReadonlyArray<MessageFormatElement>): ReadonlyArray<Used> =>
  elements.flatMap((element): ReadonlyArray<Used> => {
    switch (element.type) {
      case TYPE.argument:
      case TYPE.date:
      case TYPE.time:
        return [{ name: element.value, counted: element.type !== TYPE.argument }]
      case TYPE.number:
        return [{ name: element.value, counted: true }]
      case TYPE.plural:
      case TYPE.select:
        return [
          { name: element.value, counted: element.type === TYPE.plural },
          ...Object.values(element.options).flatMap(({ value }) => usedIn(value))
        ]
      case TYPE.tag:
        return usedIn(element.children)
      default:
        return []
    }
  })

interface Compiled {
  readonly format: IntlMessageFormat
  readonly used: ReadonlyArray<Used>
}

const compiled = new Map<string, Compiled>()
const mostCompiled = 1_000

/** Throws for what is no message. */
const compile = (text: string, language: string): Compiled => {
  const name = `${language} ${text}`
  const known = compiled.get(name)
  if (known !== undefined) return known
  const elements = parse(text, { ignoreTag: true })
  const made = { format: new IntlMessageFormat(elements, language), used: usedIn(elements) }
  if (compiled.size >= mostCompiled) compiled.clear()
  compiled.set(name, made)
  return made
}

/** The text with its values; undefined where it cannot be formatted. `html`: values are escaped. */
export const format = (text: string, language: string, values: Values, html = false): string | undefined => {
  try {
    const { format: message, used } = compile(text, language)
    const filled = Object.fromEntries(
      used.map(({ counted, name }) => {
        const value = Object.hasOwn(values, name) ? values[name]! : counted ? 0 : missing
        if (typeof value === "number") return [name, value]
        if (counted) return [name, Number.isFinite(Number(value)) ? Number(value) : 0]
        return [name, html ? escapeHtml(clean(value, name)) : clean(value, name)]
      })
    )
    return String(message.format(filled))
  } catch {
    return undefined
  }
}

/** Why a text cannot be a template with these variables; undefined when it can. */
export const textMistake = (text: string, language: string, variables: ReadonlyArray<string>): string | undefined => {
  if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(text)) return "The text has control characters."
  let used: ReadonlyArray<Used>
  try {
    used = compile(text, language).used
  } catch (error) {
    return `This is no ICU message: ${error instanceof Error ? error.message.slice(0, 200) : "it cannot be read"}.`
  }
  const unknown = used.filter(({ name }) => !variables.includes(name)).map(({ name }) => `{${name}}`)
  return unknown.length === 0
    ? undefined
    : `${[...new Set(unknown)].join(", ")} is not among its variables: ${variables.map((name) => `{${name}}`).join(", ")}.`
}

const allowedTag =
  /^<(?:\/?(?:p|br|strong|b|em|i|u|ul|ol|li|h1|h2|h3|blockquote|hr|table|tr|td|th|tbody|thead|span|div)\s*\/?|\/a|a href="(?:https:\/\/[^"<>{}\s]+|\{link\})")>$/

/** The same for HTML: letters, and tags that do nothing. */
export const htmlMistake = (html: string, language: string, variables: ReadonlyArray<string>): string | undefined => {
  const wrong = (html.match(/<[^>]*>?/g) ?? []).find((tag) => !allowedTag.test(tag))
  return wrong === undefined
    ? textMistake(html, language, variables)
    : `${wrong.slice(0, 40)} is not allowed: plain tags without attributes, and <a href="https://…"> or <a href="{link}">.`
}

/** Languages in which a text is looked for, the best first: uz-Cyrl, uz, the city's own, en. */
export const chainOf = (language: string, cityLanguage: string | undefined): ReadonlyArray<string> => {
  const all = [language, cityLanguage ?? "en", "en"].flatMap((tag) => {
    const parts = tag.split("-")
    return parts.map((_, cut) => parts.slice(0, parts.length - cut).join("-"))
  })
  return [...new Set(all)]
}

/** What is there in the first of the languages, and in which it is. */
export const inChain = <A>(
  all: Readonly<Record<string, A>>,
  chain: ReadonlyArray<string>
): readonly [language: string, found: A] | undefined => {
  const language = chain.find((one) => Object.hasOwn(all, one))
  return language === undefined ? undefined : [language, all[language]!]
}
