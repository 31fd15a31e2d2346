/**
 * Webhooks: signed posts of events to apps of third parties, and to addresses of the city's own staff (Standard Webhooks, CloudEvents). Use it where
 * others build on the city. Apps of OAuth manage their own with the scope `webhooks.manage`; servers with an API key whose scopes say
 * `webhook.manage:own`; staff those of all apps.
 */
import * as Layer from "effect/Layer"
import { readMigration } from "../../kernel/db/Migration.ts"
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { WebhooksApi } from "./api.ts"
import { webhooksConsumer } from "./consumer.ts"
import { runCourier } from "./Courier.ts"
import { webhooksApiLayer } from "./handlers.ts"
import { Hearers } from "./Hearers.ts"
import { recoverJob } from "./log.ts"
import { webhookEvents } from "./model.ts"
import { webhooksOfPerson } from "./people.ts"
import { messageRetention, sweepEndpoints } from "./retention.ts"
import { sealedWebhookSecrets } from "./sealed.ts"
import { CourierSignal } from "./Signal.ts"

export const webhooks = (): Module =>
  defineModule({
    id: "webhooks",
    events: webhookEvents,
    permissions: ["webhook.read", "webhook.manage"],
    consumers: [webhooksConsumer],
    jobs: [recoverJob],
    works: [runCourier],
    schedules: [{ id: "webhooks.sweep", cron: "20 * * * *", run: sweepEndpoints }],
    retention: [messageRetention],
    people: [webhooksOfPerson],
    sealed: [sealedWebhookSecrets],
    migrations: [readMigration("webhooks", new URL("./migrations/0001_webhooks.sql", import.meta.url))],
    api: { definition: WebhooksApi, layer: webhooksApiLayer },
    layer: Layer.mergeAll(Hearers.layer, CourierSignal.layer)
  })
