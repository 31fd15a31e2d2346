/** What stands behind the doors to hydraulic zones. */
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { versionAsked } from "../../../kernel/http/asked.ts"
import { inTenant } from "../../../kernel/http/Door.ts"
import { once } from "../../../kernel/http/once.ts"
import { TelemetryApi } from "../api.ts"
import { acceptLeaksOf, knownLeaksOf, type StoredLeak } from "./leaks.ts"
import { createZone, getZone, type ListedZone, listZones, removeZone, replaceZone, type StoredZone } from "./zones.ts"

const view = <Z extends StoredZone | ListedZone>(zone: Z) => ({
  ...zone,
  changedAt: zone.changedAt.toISOString(),
  judgedAt: zone.judgedAt?.toISOString() ?? null
})

const answerOf = (zone: { readonly version: number }, status = 200, headers: Readonly<Record<string, string>> = {}) =>
  HttpServerResponse.jsonUnsafe(zone, { status, headers: { ...headers, etag: `"${zone.version}"` } }) as never

const leakView = ({ foundAt, since, ...leak }: StoredLeak) => ({
  ...leak,
  foundAt: foundAt.toISOString(),
  since: since.toISOString()
})

const asked = Effect.flatMap(HttpServerRequest.HttpServerRequest, versionAsked)

export const zonesHandlers = HttpApiBuilder.group(TelemetryApi, "hydraulicZones", (handlers) =>
  handlers
    .handle("listZones", () => inTenant(Effect.map(listZones, (items) => ({ items: items.map(view) }))))
    .handle("createZone", ({ payload }) =>
      inTenant(
        Effect.map(
          once(
            "hydraulic-zones",
            payload,
            Effect.map(createZone(payload), (zone) => ({ status: 201, body: view(zone) }))
          ),
          ({ body, headers, status }) =>
            answerOf(body, status, { ...headers, location: `/v1/hydraulic-zones/${body.id}` })
        )
      )
    )
    .handle("getZone", ({ params }) => inTenant(Effect.map(getZone(params.id), (zone) => answerOf(view(zone)))))
    .handle("replaceZone", ({ params, payload }) =>
      inTenant(
        Effect.flatMap(asked, (expected) =>
          Effect.map(replaceZone(params.id, payload, expected), (zone) => answerOf(view(zone)))
        )
      )
    )
    .handle("removeZone", ({ params }) =>
      inTenant(Effect.flatMap(asked, (expected) => removeZone(params.id, expected)))
    )
    .handle("knownLeaks", ({ params }) =>
      inTenant(Effect.map(knownLeaksOf(params.id), (items) => ({ items: items.map(leakView) })))
    )
    .handle("acceptLeaks", ({ params }) => inTenant(Effect.map(acceptLeaksOf(params.id), (accepted) => ({ accepted }))))
)
