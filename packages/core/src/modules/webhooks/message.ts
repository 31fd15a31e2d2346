/** What is sent: a CloudEvents 1.0 event in structured JSON, thin: which event it was and about what. The rest is fetched with the receiver's own rights. */
import * as Effect from "effect/Effect"
import { isId } from "../../kernel/ids.ts"
import { Deployment } from "../../kernel/Deployment.ts"
import { eventView, type FeedRow } from "../../kernel/live/EventFeed.ts"
import { tenantAddress } from "../../kernel/tenancy/address.ts"
import { tenantById } from "../../kernel/tenancy/resolve.ts"
import { testType } from "./model.ts"

export const contentType = "application/cloudevents+json; charset=utf-8"

/** `webhook-id`: the same at every attempt, and at every endpoint that hears of the event. */
export const messageId = (eventId: string): string => `evt_${eventId}`

/** Where events of a tenant come from: its public address, else its name. */
export const sourceOf = Effect.fnUntraced(function* (tenantId: string) {
  const tenant = yield* tenantById(tenantId)
  const address = tenant === undefined ? undefined : tenantAddress(yield* Deployment, tenant, "")
  return address?.site ?? `urn:mahalla:tenant:${tenantId}`
})

/** Ids that an event without a case names: whoever may hear of it may read all of it in the event log. */
const idsOf = (payload: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(payload).filter(([, value]) => isId(value)))

/** The body of an event; `null` in it says that the event is about no case. */
export const bodyOf = (row: FeedRow, source: string): string => {
  const { case: about, id, occurredAt, type } = eventView(row)
  return JSON.stringify({
    specversion: "1.0",
    id,
    source,
    type,
    time: occurredAt,
    ...(about?.type == null ? {} : { subject: `${about.type}/${about.id}` }),
    datacontenttype: "application/json",
    data: { case: about, ...(about === null ? { ids: idsOf(row.payload) } : {}) }
  })
}

/** The body of a test that somebody asked for; `at` in epoch milliseconds. */
export const testBody = (id: string, source: string, at: number): string =>
  JSON.stringify({
    specversion: "1.0",
    id,
    source,
    type: testType,
    time: new Date(at).toISOString(),
    datacontenttype: "application/json",
    data: { case: null, ids: {} }
  })
