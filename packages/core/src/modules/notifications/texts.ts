/** What people read when something happens to their case. */
import type { CaseTypeDefinition, LocalizedText, Notice } from "../../kernel/cases/CaseType.ts"
import { localized } from "../../kernel/cases/timeline.ts"

const created: LocalizedText = {
  en: "{title} {reference}: received.",
  uz: "{title} {reference}: qabul qilindi.",
  ru: "{title} {reference}: принято.",
  ka: "{title} {reference}: მიღებულია."
}

const changed: LocalizedText = {
  en: "{title} {reference} is now: {state}.",
  uz: "{title} {reference} holati: {state}.",
  ru: "{title} {reference}: теперь «{state}».",
  ka: "{title} {reference}: ახლა {state}."
}

const fill = (text: string, values: Readonly<Record<string, string>>): string =>
  text.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "")

/** The sentence about a case that was created or has reached a state. */
export const caseText = (
  definition: CaseTypeDefinition,
  reference: string,
  state: string,
  isNew: boolean,
  language: string
): string => {
  const values: Readonly<Record<string, string>> = {
    title: localized(definition.title, language),
    reference,
    state: localized(definition.states[state]?.title ?? { en: state }, language)
  }
  return fill(localized(isNew ? created : changed, language), values)
}

/** What a case type's own notice says. */
export const noticeText = (
  definition: CaseTypeDefinition,
  { text, values = {} }: Notice,
  reference: string,
  language: string
): string => fill(localized(text, language), { ...values, title: localized(definition.title, language), reference })
