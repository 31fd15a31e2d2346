/**
 * Tells people what happens to their cases: owner and subscribers, and whomever its type calls by a notice, in their
 * language, on the channel the city has. Use it in every city with
 * people in it.
 */
import type { CaseType } from "../../kernel/cases/CaseType.ts"
import { compileCaseType, eventTypesOf } from "../../kernel/cases/registry.ts"
import { readMigration } from "../../kernel/db/Migration.ts"
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { notificationsConsumer } from "./consumer.ts"
import { sendMessage } from "./jobs.ts"
import { messagesOfPerson } from "./people.ts"
import { messageRetention } from "./retention.ts"

/** `caseTypes`: those whose owners and subscribers are told. */
export const notifications = (options: { readonly caseTypes: ReadonlyArray<CaseType> }): Module =>
  defineModule({
    id: "notifications",
    consumers: [
      notificationsConsumer(
        options.caseTypes.flatMap((type) => [...eventTypesOf(compileCaseType(type)), ...Object.keys(type.notices)])
      )
    ],
    jobs: [sendMessage],
    people: [messagesOfPerson],
    retention: [messageRetention],
    migrations: [readMigration("notifications", new URL("./migrations/0001_notifications.sql", import.meta.url))]
  })
