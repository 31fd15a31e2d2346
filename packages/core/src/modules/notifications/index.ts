/**
 * Tells people what concerns them: events by rules, in the words of templates, on the channels and at the hours that they have chosen, at once or in
 * digests; and broadcasts to a whole territory. Use it in every city with people in it.
 */
import * as Layer from "effect/Layer"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type { CaseType } from "../../kernel/cases/CaseType.ts"
import { compileCaseType, eventTypesOf } from "../../kernel/cases/registry.ts"
import { readMigration } from "../../kernel/db/Migration.ts"
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { NotificationsApi } from "./api.ts"
import { confirmEmail } from "./confirmEmail.ts"
import { notificationsConsumer } from "./consumer.ts"
import { sendDigests } from "./digests.ts"
import { fallBack, sendMessage, sendPart } from "./jobs.ts"
import { myNotificationsHandlers, notificationLinksHandlers } from "./meHandlers.ts"
import { BroadcastChanged, RuleChanged, TemplateChanged } from "./model.ts"
import { choicesOfPerson, messagesOfPerson } from "./people.ts"
import { hearReceipts } from "./receipts.ts"
import { digestRetention, messageRetention } from "./retention.ts"
import { Heard } from "./rules.ts"
import { cancelMessages, finishBroadcasts, resendBroadcast, runBroadcast } from "./runBroadcast.ts"
import { sealedAddresses } from "./sealed.ts"
import { broadcastsHandlers, notificationsHandlers } from "./staffHandlers.ts"

export { linkToken } from "./links.ts"

/** `caseTypes`: those whose owners and subscribers are told. */
export const notifications = (options: { readonly caseTypes: ReadonlyArray<CaseType> }): Module => {
  const types = options.caseTypes.flatMap((type) => [
    ...eventTypesOf(compileCaseType(type)),
    ...Object.keys(type.notices)
  ])
  return defineModule({
    id: "notifications",
    events: [TemplateChanged, RuleChanged, BroadcastChanged],
    consumers: [notificationsConsumer(types)],
    jobs: [sendMessage, fallBack, confirmEmail, runBroadcast, sendPart, resendBroadcast, cancelMessages],
    schedules: [
      { id: "notifications.digests", cron: "*/5 * * * *", run: sendDigests },
      { id: "notifications.broadcasts", cron: "* * * * *", run: finishBroadcasts }
    ],
    works: [hearReceipts],
    permissions: [
      "notification.read",
      "notification.manage",
      "message.read",
      "broadcast.read",
      "broadcast.create",
      "broadcast.approve"
    ],
    roles: [
      {
        id: "communications",
        title: "Communications",
        permissions: ["notification.read", "notification.manage", "message.read", "broadcast.read", "broadcast.create"]
      }
    ],
    people: [messagesOfPerson, choicesOfPerson],
    sealed: [sealedAddresses],
    retention: [messageRetention, digestRetention],
    migrations: ["0001_notifications.sql", "0002_delivery.breaking.sql"].map((file) =>
      readMigration("notifications", new URL(`./migrations/${file}`, import.meta.url))
    ),
    api: {
      definition: NotificationsApi,
      layer: HttpApiBuilder.layer(NotificationsApi).pipe(
        Layer.provide([myNotificationsHandlers, notificationLinksHandlers, notificationsHandlers, broadcastsHandlers])
      )
    },
    layer: Layer.succeed(Heard, { types })
  })
}
