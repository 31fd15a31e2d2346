/** Templates: built-in ones, and what a city has written in their place; each by channel and language. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type FieldIssue, InvalidInput, NotFound, VersionConflict } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { tenantSettings } from "../../kernel/tenancy/settings.ts"
import { chainOf, format, htmlMistake, inChain, textMistake, type Values } from "./format.ts"
import { type ChannelKind, TemplateChanged, type TemplateText, type TemplateTexts } from "./model.ts"
import { builtIn, caseVariables, safeText } from "./texts.ts"

/** Of one kind of channel, or of all that have no words of their own. */
export type TemplateChannel = ChannelKind | "any"

export interface StoredTemplate {
  readonly key: string
  readonly channel: TemplateChannel
  /** 0: built in, and nobody has changed it yet. */
  readonly version: number
  readonly texts: TemplateTexts
  readonly variables: ReadonlyArray<string>
  readonly builtIn: boolean
}

/** A city's own templates may use whatever a case or a broadcast has. */
const variablesOf = (key: string): ReadonlyArray<string> =>
  Object.hasOwn(builtIn, key) ? builtIn[key]!.variables : caseVariables
const wordsOf = (key: string): TemplateTexts => (Object.hasOwn(builtIn, key) ? builtIn[key]!.texts : {})

interface TemplateRow {
  readonly key: string
  readonly channel: TemplateChannel
  readonly version: number
  readonly texts: TemplateTexts | null
}

/** The newest version of each, of one key or of all. */
const rowsOf = Effect.fnUntraced(function* (key: string | null) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<TemplateRow>`
    select distinct on (key, channel) key, channel, version, texts from mahalla.notification_template
    where tenant_id = ${tenantId} and (${key}::text is null or key = ${key}) order by key, channel, version desc`
})

const viewOf = ({ channel, key, texts, version }: TemplateRow): StoredTemplate => ({
  key,
  channel,
  version,
  texts: texts ?? wordsOf(key),
  variables: variablesOf(key),
  builtIn: texts === null
})

/** All that are in force, by key and channel; needs `notification.read`. */
export const listTemplates = Effect.gen(function* () {
  yield* demandEverywhere("notification.read")
  const rows = yield* rowsOf(null)
  const untouched = Object.keys(builtIn)
    .filter((key) => !rows.some((row) => row.key === key && row.channel === "any"))
    .map((key): TemplateRow => ({ key, channel: "any", version: 0, texts: null }))
  return [
    ...rows.filter(({ channel, key, texts }) => texts !== null || (channel === "any" && Object.hasOwn(builtIn, key))),
    ...untouched
  ]
    .map(viewOf)
    .toSorted((a, b) => a.key.localeCompare(b.key) || a.channel.localeCompare(b.channel))
}).pipe(Effect.withSpan("notifications.listTemplates"))

const rowOf = Effect.fnUntraced(function* (key: string, channel: TemplateChannel) {
  return (yield* rowsOf(key)).find((row) => row.channel === channel) ?? { key, channel, version: 0, texts: null }
})

/** One, or `NotFound`; needs `notification.read`. */
export const getTemplate = Effect.fn("notifications.getTemplate")(function* (key: string, channel: TemplateChannel) {
  yield* demandEverywhere("notification.read")
  const row = yield* rowOf(key, channel)
  if (row.texts === null && (channel !== "any" || !Object.hasOwn(builtIn, key)))
    return yield* new NotFound({ what: "template", id: `${key} for ${channel}` })
  return viewOf(row)
})

/** What is wrong with texts, as places in the body. */
export const mistakesOf = (texts: TemplateTexts, variables: ReadonlyArray<string>): ReadonlyArray<FieldIssue> =>
  Object.entries(texts).flatMap(([language, { html, subject, text }]) => {
    const at = (field: string, detail: string | undefined): ReadonlyArray<FieldIssue> =>
      detail === undefined ? [] : [{ pointer: `/texts/${language}/${field}`, detail }]
    const line = subject !== undefined && /[\r\n]/.test(subject) ? "A subject is one line." : undefined
    return [
      ...at("text", textMistake(text, language, variables)),
      ...(subject === undefined ? [] : at("subject", line ?? textMistake(subject, language, variables))),
      ...(html === undefined ? [] : at("html", htmlMistake(html, language, variables)))
    ]
  })

/** A language in which everybody can be told must be among them. */
export const demandCityLanguage = Effect.fnUntraced(function* (texts: TemplateTexts) {
  const { languages } = yield* tenantSettings
  if (inChain(texts, chainOf(languages[0] ?? "en", undefined)) === undefined)
    return yield* new InvalidInput({
      issues: [
        {
          pointer: "/texts",
          detail: `Write it in ${languages[0] ?? "en"} or English too: whoever reads no other language gets that.`
        }
      ]
    })
})

const insertVersion = Effect.fnUntraced(function* (
  { channel, key, version }: TemplateRow,
  texts: TemplateTexts | null
) {
  const { sql, tenantId } = yield* TenantTx
  const { id } = yield* Actor
  const at = new Date(yield* Clock.currentTimeMillis)
  // Of two who write the same version one has the conflict.
  const made = yield* sql`
    insert into mahalla.notification_template (tenant_id, key, channel, version, texts, changed_by, changed_at)
    values (${tenantId}, ${key}, ${channel}, ${version + 1}, ${texts === null ? null : JSON.stringify(texts)}::text::jsonb, ${id}, ${at})
    on conflict do nothing returning version`
  if (made.length === 0) return yield* new VersionConflict({ what: "template", expected: version, found: version + 1 })
  const removed = texts === null
  yield* appendEvent(TemplateChanged, { key, channel, version: version + 1, removed }, { actorId: id })
  return viewOf({ key, channel, version: version + 1, texts })
})

const demandVersion = (row: TemplateRow, ifVersion: number | undefined) =>
  ifVersion === undefined || ifVersion === row.version
    ? Effect.void
    : Effect.fail(new VersionConflict({ what: "template", expected: ifVersion, found: row.version }))

/** Writes a template's next version; needs `notification.manage`. */
export const putTemplate = Effect.fn("notifications.putTemplate")(function* (
  key: string,
  channel: TemplateChannel,
  texts: TemplateTexts,
  ifVersion?: number
) {
  yield* demandEverywhere("notification.manage")
  const row = yield* rowOf(key, channel)
  yield* demandVersion(row, ifVersion)
  const issues = mistakesOf(texts, variablesOf(key))
  if (issues.length > 0) return yield* new InvalidInput({ issues })
  if (!Object.hasOwn(builtIn, key)) yield* demandCityLanguage(texts)
  return yield* insertVersion(row, texts)
})

/** The built-in words again, or none; needs `notification.manage`. */
export const removeTemplate = Effect.fn("notifications.removeTemplate")(function* (
  key: string,
  channel: TemplateChannel,
  ifVersion?: number
) {
  yield* demandEverywhere("notification.manage")
  const row = yield* rowOf(key, channel)
  if (row.texts === null) return yield* new NotFound({ what: "template", id: `${key} for ${channel}` })
  yield* demandVersion(row, ifVersion)
  yield* insertVersion(row, null)
})

/** A message in one language. */
export interface Rendered {
  readonly language: string
  readonly subject: string | null
  readonly text: string
  readonly html: string | null
}

/** Texts filled in; the safe ones where they cannot be. */
export const render = (language: string, { html, subject, text }: TemplateText, values: Values): Rendered => {
  const filled = format(text, language, values)
  if (filled === undefined || filled.trim() === "") {
    const [known, safe] = inChain(safeText, chainOf(language, undefined))!
    return { language: known, subject: null, text: format(safe.text, known, values)!, html: null }
  }
  return {
    language,
    subject: subject === undefined ? null : (format(subject, language, values)?.replaceAll(/\s+/g, " ") ?? null),
    text: filled,
    html: html === undefined ? null : (format(html, language, values, true) ?? null)
  }
}

/** The words of a template that are in force, for one language after another. */
export interface Words {
  readonly of: (
    kind: ChannelKind,
    chain: ReadonlyArray<string>
  ) => readonly [language: string, text: TemplateText] | undefined
}

/** Texts that are the same on all channels. */
export const sameWords = (texts: TemplateTexts): Words => ({ of: (_, chain) => inChain(texts, chain) })

/** What is written for a channel goes before what is for any, and both before what is built in; a nearer language before them all. */
export const wordsOfTemplate = Effect.fnUntraced(function* (key: string) {
  const rows = yield* rowsOf(key)
  const own = (channel: TemplateChannel) => rows.find((row) => row.channel === channel)?.texts ?? {}
  const [any, known] = [own("any"), wordsOf(key)]
  return {
    of: (kind, chain) => inChain({ ...known, ...any, ...own(kind) }, chain)
  } satisfies Words
})

/** Whether there is anything under a key. */
export const isTemplate = Effect.fnUntraced(function* (key: string) {
  return Object.hasOwn(builtIn, key) || (yield* rowsOf(key)).some(({ texts }) => texts !== null)
})

const samples: Values = {
  title: "Pothole",
  reference: "7F3K-9QXZ",
  state: "Fixed",
  text: "Work begins tomorrow at 9.",
  link: "https://city.example/cases/7F3K-9QXZ",
  count: 2,
  items: "Pothole 7F3K-9QXZ: received.\nPothole 7F3K-9QXZ is now: Fixed."
}

/** A template as somebody would read it, with values of an example where none are given. */
export const previewOf = Effect.fnUntraced(function* (
  texts: TemplateTexts,
  key: string,
  language: string,
  values: Values
) {
  const variables = variablesOf(key)
  const issues = mistakesOf(texts, variables)
  if (issues.length > 0) return yield* new InvalidInput({ issues })
  const { languages } = yield* tenantSettings
  const found = inChain(texts, chainOf(language, languages[0]))
  if (found === undefined)
    return yield* new InvalidInput({ issues: [{ pointer: "/texts", detail: `Nothing is written for ${language}.` }] })
  return render(found[0], found[1], { city: "Samarkand", ...samples, ...values })
})
