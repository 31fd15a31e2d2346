/** What stands behind the doors of staff. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { InvalidInput, Refused } from "../../kernel/cases/model.ts"
import { inTenant } from "../../kernel/http/Door.ts"
import { once } from "../../kernel/http/once.ts"
import { newId } from "../../kernel/ids.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { NotificationsApi } from "./api.ts"
import {
  approveBroadcast,
  type Broadcast,
  cancelBroadcast,
  createBroadcast,
  getBroadcast,
  listBroadcasts,
  pauseBroadcast,
  resultsOf,
  resumeBroadcast,
  startBroadcast
} from "./broadcasts.ts"
import { cityFacts } from "./city.ts"
import type { Values } from "./format.ts"
import { listenersOf } from "./listeners.ts"
import { answerOf, asked } from "./meHandlers.ts"
import { getMessage, listMessages, type ListedMessage } from "./messages.ts"
import type { ChannelKind, TemplateTexts } from "./model.ts"
import { tell } from "./plan.ts"
import { estimateOf } from "./recipients.ts"
import { getRule, listRules, putRule, removeRule } from "./rules.ts"
import {
  getTemplate,
  listTemplates,
  previewOf,
  putTemplate,
  removeTemplate,
  sameWords,
  type TemplateChannel
} from "./templates.ts"
import { totalsBetween } from "./totals.ts"

const messageView = ({ changedAt, createdAt, ...message }: ListedMessage) => ({
  ...message,
  createdAt: createdAt.toISOString(),
  changedAt: changedAt.toISOString()
})

interface Sample {
  readonly language: string
  readonly values?: Values
  readonly texts?: TemplateTexts
}

const preview = Effect.fnUntraced(function* (
  key: string,
  channel: TemplateChannel,
  { language, texts, values = {} }: Sample
) {
  yield* demandEverywhere("notification.read")
  const given = texts ?? (yield* getTemplate(key, channel)).texts
  return yield* previewOf(given, key, language, values)
})

/** Milliseconds for which a test is worth sending. */
const testLife = 3_600_000

/** Sends an example to whoever asks, on the channel that it is for. */
const sendTest = Effect.fnUntraced(function* (key: string, channel: TemplateChannel, sample: Sample) {
  yield* demandEverywhere("notification.manage")
  const { html, language, subject, text } = yield* preview(key, channel, sample)
  const { id } = yield* Actor
  const city = yield* cityFacts
  const channels: ReadonlyArray<ChannelKind> | undefined = channel === "any" ? undefined : [channel]
  const escaped = (value: string) => value.replaceAll("'", "''").replaceAll(/[{}]/g, (sign) => `'${sign}'`)
  const words = sameWords({
    [language]: {
      text: escaped(text),
      ...(subject === null ? {} : { subject: escaped(subject) }),
      ...(html === null ? {} : { html: escaped(html) })
    }
  })
  // Whatever the asker has chosen for themselves: it is the channel that is tried.
  const people = (yield* listenersOf(id === null ? [] : [id])).map((person) => ({
    ...person,
    language,
    categories: {}
  }))
  const messages = yield* tell(
    people,
    {
      ...{
        source: "test",
        eventId: yield* newId,
        caseId: null,
        category: "test",
        urgency: "normal",
        channels,
        wait: 0
      },
      expiresAt: new Date((yield* Clock.currentTimeMillis) + testLife),
      words,
      values: () => ({})
    },
    city
  )
  if (messages === 0)
    return yield* new Refused({
      code: "unreachable",
      message: `Nothing reaches you by ${channel}. Add an address of yours first.`
    })
  return { messages }
})

export const notificationsHandlers = HttpApiBuilder.group(NotificationsApi, "notifications", (handlers) =>
  handlers
    .handle("listNotificationTemplates", () => inTenant(Effect.map(listTemplates, (items) => ({ items }))))
    .handle("getNotificationTemplate", ({ params }) =>
      inTenant(Effect.map(getTemplate(params.key, params.channel), (template) => answerOf(template)))
    )
    .handle("putNotificationTemplate", ({ params, payload }) =>
      inTenant(
        Effect.gen(function* () {
          return answerOf(yield* putTemplate(params.key, params.channel, payload.texts, yield* asked))
        })
      )
    )
    .handle("removeNotificationTemplate", ({ params }) =>
      inTenant(Effect.flatMap(asked, (ifVersion) => removeTemplate(params.key, params.channel, ifVersion)))
    )
    .handle("previewNotificationTemplate", ({ params, payload }) =>
      inTenant(preview(params.key, params.channel, payload))
    )
    .handle("testNotificationTemplate", ({ params, payload }) =>
      inTenant(
        Effect.gen(function* () {
          const send = Effect.map(sendTest(params.key, params.channel, payload), (body) => ({ status: 201, body }))
          return (yield* once(`notification-templates/${params.key}/${params.channel}/test`, payload, send)).body
        })
      )
    )
    .handle("listNotificationRules", () => inTenant(Effect.map(listRules, (items) => ({ items }))))
    .handle("getNotificationRule", ({ params }) => inTenant(Effect.map(getRule(params.key), (rule) => answerOf(rule))))
    .handle("putNotificationRule", ({ params, payload }) =>
      inTenant(
        Effect.gen(function* () {
          return answerOf(yield* putRule(params.key, payload, yield* asked))
        })
      )
    )
    .handle("removeNotificationRule", ({ params }) =>
      inTenant(Effect.flatMap(asked, (ifVersion) => removeRule(params.key, ifVersion)))
    )
    .handle("listMessages", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("message.read")
          const limit = query.limit ?? 50
          const rows = yield* listMessages(query, query.cursor ?? null, limit + 1)
          const items = rows.slice(0, limit).map(messageView)
          return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.id } : {}) }
        })
      )
    )
    .handle("getMessage", ({ params }) =>
      inTenant(
        Effect.map(getMessage(params.id), ({ tries, ...message }) => ({
          ...messageView(message),
          tries: tries.map(({ beganAt, endedAt, ...attempt }) => ({
            ...attempt,
            beganAt: beganAt.toISOString(),
            endedAt: endedAt?.toISOString() ?? null
          }))
        }))
      )
    )
    .handle("messageTotals", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("message.read")
          if (query.from > query.to)
            return yield* new InvalidInput({
              issues: [{ pointer: "#query/to", detail: "It must not be before the first day." }]
            })
          return { items: yield* totalsBetween(query.from, query.to) }
        })
      )
    )
)

const broadcastView = (broadcast: Broadcast) => ({
  id: broadcast.id,
  state: broadcast.state,
  territoryId: broadcast.territoryId,
  filters: { ...broadcast.filters },
  category: broadcast.category,
  urgency: broadcast.urgency,
  texts: broadcast.texts,
  template: broadcast.template,
  channels: broadcast.channels,
  expiresAt: broadcast.expiresAt?.toISOString() ?? null,
  resolved: broadcast.resolved,
  seen: broadcast.seen,
  queued: broadcast.queued,
  unreachable: broadcast.unreachable,
  recipients: broadcast.recipients,
  createdBy: broadcast.createdBy,
  startedBy: broadcast.startedBy,
  approvedBy: broadcast.approvedBy,
  version: broadcast.version,
  createdAt: broadcast.createdAt.toISOString(),
  startedAt: broadcast.startedAt?.toISOString() ?? null,
  endedAt: broadcast.endedAt?.toISOString() ?? null
})
const answer = (broadcast: Broadcast) => answerOf(broadcastView(broadcast))

export const broadcastsHandlers = HttpApiBuilder.group(NotificationsApi, "broadcasts", (handlers) =>
  handlers
    .handle("listBroadcasts", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          const limit = query.limit ?? 50
          const rows = yield* listBroadcasts(query.cursor ?? null, limit + 1)
          const items = rows.slice(0, limit).map(broadcastView)
          return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.id } : {}) }
        })
      )
    )
    .handle("createBroadcast", ({ payload }) =>
      inTenant(
        Effect.gen(function* () {
          const { expiresAt, ...given } = payload
          const create = createBroadcast({
            ...given,
            ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt) })
          })
          const make = Effect.map(create, (made) => ({ status: 201, body: broadcastView(made) }))
          const { body, headers, status } = yield* once("broadcasts", payload, make)
          return answerOf(body, status, { ...headers, location: `/v1/broadcasts/${body.id}` })
        })
      )
    )
    .handle("getBroadcast", ({ params }) => inTenant(Effect.map(getBroadcast(params.id), answer)))
    .handle("estimateBroadcast", ({ params }) => inTenant(Effect.flatMap(getBroadcast(params.id), estimateOf)))
    .handle("broadcastResults", ({ params }) =>
      inTenant(Effect.flatMap(getBroadcast(params.id), ({ id }) => Effect.map(resultsOf(id), (items) => ({ items }))))
    )
    .handle("startBroadcast", ({ params, payload }) =>
      inTenant(
        Effect.gen(function* () {
          const { recipients } = yield* estimateOf(yield* getBroadcast(params.id))
          return answer(yield* startBroadcast(params.id, payload.recipients, recipients, yield* asked))
        })
      )
    )
    .handle("approveBroadcast", ({ params }) =>
      inTenant(Effect.flatMap(asked, (ifVersion) => Effect.map(approveBroadcast(params.id, ifVersion), answer)))
    )
    .handle("pauseBroadcast", ({ params }) =>
      inTenant(Effect.flatMap(asked, (ifVersion) => Effect.map(pauseBroadcast(params.id, ifVersion), answer)))
    )
    .handle("resumeBroadcast", ({ params }) =>
      inTenant(Effect.flatMap(asked, (ifVersion) => Effect.map(resumeBroadcast(params.id, ifVersion), answer)))
    )
    .handle("cancelBroadcast", ({ params }) =>
      inTenant(Effect.flatMap(asked, (ifVersion) => Effect.map(cancelBroadcast(params.id, ifVersion), answer)))
    )
)
