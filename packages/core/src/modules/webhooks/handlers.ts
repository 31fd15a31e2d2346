/** What stands behind the doors to webhooks. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { versionAsked } from "../../kernel/http/asked.ts"
import { answering, inTenant } from "../../kernel/http/Door.ts"
import { once } from "../../kernel/http/once.ts"
import { WebhooksApi } from "./api.ts"
import {
  createEndpoint,
  demandOwner,
  endpointOf,
  judgeAddress,
  listEndpoints,
  removeEndpoint,
  replaceEndpoint,
  rotateSecrets,
  setStatus
} from "./endpoints.ts"
import {
  type AttemptEntry,
  listAttempts,
  listMessages,
  type MessageRow,
  recover,
  recoveryOf,
  resend,
  sendTest
} from "./log.ts"
import { type Endpoint, limits } from "./model.ts"
import { shownSecrets } from "./secrets.ts"

const timeOf = (at: Date | null) => at?.toISOString() ?? null

const viewOf = ({ createdAt, disabledAt, ...row }: Endpoint) => ({
  ...row,
  disabledAt: timeOf(disabledAt),
  createdAt: createdAt.toISOString()
})

const messageView = ({ createdAt, nextAt, settledAt, ...row }: MessageRow) => ({
  ...row,
  nextAt: timeOf(nextAt),
  createdAt: createdAt.toISOString(),
  settledAt: timeOf(settledAt)
})

const attemptView = ({ at, ...row }: AttemptEntry) => ({ ...row, at: at.toISOString() })

const recoveryView = ({ createdAt, since, ...row }: Effect.Success<ReturnType<typeof recoveryOf>>) => ({
  ...row,
  since: since.toISOString(),
  createdAt: createdAt.toISOString()
})

const answerOf = <Body extends { readonly version: number }>(
  body: Body,
  status = 200,
  headers: Readonly<Record<string, string>> = {}
) => HttpServerResponse.jsonUnsafe(body, { status, headers: { ...headers, etag: `"${body.version}"` } }) as never

const pageOf = <Item extends { readonly id: string }>(items: ReadonlyArray<Item>, limit: number) => ({
  items: items.slice(0, limit),
  ...(items.length > limit ? { cursor: items[limit - 1]!.id } : {})
})

const asked = Effect.flatMap(HttpServerRequest.HttpServerRequest, versionAsked)

/** Rows as a page: one more is asked for than is shown. */
const paged = <Row, Item extends { readonly id: string }, E, R>(
  query: { readonly cursor?: string; readonly limit?: number },
  rows: (page: { readonly cursor: string | null; readonly limit: number }) => Effect.Effect<ReadonlyArray<Row>, E, R>,
  shown: (row: Row) => Item
) => {
  const limit = query.limit ?? 50
  return Effect.map(rows({ cursor: query.cursor ?? null, limit: limit + 1 }), (found) =>
    pageOf(found.map(shown), limit)
  )
}

const handlers = HttpApiBuilder.group(WebhooksApi, "webhooks", (group) =>
  group
    .handle("listWebhooks", ({ query }) =>
      inTenant(
        paged(
          query,
          (page) => listEndpoints({ ...page, status: query.status ?? null, principalId: query.principal ?? null }),
          viewOf
        )
      )
    )
    .handle("createWebhook", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { principalId, ...given } = payload
          yield* inTenant(demandOwner(principalId))
          yield* judgeAddress(given.url)
          return yield* inTenant(
            Effect.gen(function* () {
              // What is kept for repeated requests names the secrets; the texts themselves stand nowhere in clear.
              const { body, headers, status } = yield* once(
                "webhooks",
                payload,
                Effect.map(createEndpoint(given, principalId), ({ row, secretIds }) => ({
                  status: 201,
                  body: { ...viewOf(row), secretIds }
                }))
              )
              const { secretIds, ...webhook } = body
              const shown = { ...webhook, ...(yield* shownSecrets(secretIds)) }
              return answerOf(shown, status, { ...headers, location: `/v1/webhooks/${webhook.id}` })
            })
          )
        })
      )
    )
    .handle("getWebhook", ({ params }) =>
      inTenant(Effect.map(endpointOf(params.id, "webhook.read"), (row) => answerOf(viewOf(row))))
    )
    .handle("replaceWebhook", ({ params, payload }) =>
      answering(
        Effect.gen(function* () {
          yield* inTenant(endpointOf(params.id, "webhook.manage"))
          yield* judgeAddress(payload.url)
          const version = yield* asked
          return yield* inTenant(
            Effect.gen(function* () {
              const { row, secretIds } = yield* replaceEndpoint(params.id, payload, version)
              const { publicKey } = yield* shownSecrets(secretIds)
              return answerOf({ ...viewOf(row), publicKey })
            })
          )
        })
      )
    )
    .handle("removeWebhook", ({ params }) =>
      inTenant(Effect.flatMap(asked, (version) => removeEndpoint(params.id, version)))
    )
    .handle("setWebhookStatus", ({ params, payload }) =>
      inTenant(
        Effect.flatMap(asked, (version) =>
          Effect.map(setStatus(params.id, payload.status, version), (row) => answerOf(viewOf(row)))
        )
      )
    )
    .handle("rotateWebhookSecret", ({ params, payload }) =>
      inTenant(
        Effect.gen(function* () {
          const { body } = yield* once(
            `webhooks/${params.id}/secrets`,
            payload,
            Effect.map(rotateSecrets(params.id, payload.overlap ?? limits.overlap), (made) => ({
              status: 201,
              body: made
            }))
          )
          return { ...(yield* shownSecrets(body.secretIds)), othersEndAt: body.othersEndAt }
        })
      )
    )
    .handle("testWebhook", ({ params }) =>
      inTenant(
        Effect.map(
          once(
            `webhooks/${params.id}/tests`,
            null,
            Effect.map(sendTest(params.id), (row) => ({ status: 201, body: messageView(row) }))
          ),
          ({ body }) => body
        )
      )
    )
    .handle("webhookMessages", ({ params, query }) =>
      inTenant(
        paged(
          query,
          (page) => listMessages(params.id, { ...page, state: query.state ?? null, type: query.type ?? null }),
          messageView
        )
      )
    )
    .handle("resendWebhook", ({ params }) =>
      inTenant(
        Effect.map(
          once(
            `webhooks/${params.id}/messages/${params.message}/resend`,
            null,
            Effect.map(resend(params.id, params.message), (row) => ({ status: 202, body: messageView(row) }))
          ),
          ({ body }) => body
        )
      )
    )
    .handle("webhookAttempts", ({ params, query }) =>
      inTenant(
        paged(
          query,
          (page) =>
            listAttempts(params.id, {
              ...page,
              messageId: query.message ?? null,
              delivered: query.delivered === undefined ? null : query.delivered === "true"
            }),
          attemptView
        )
      )
    )
    .handle("recoverWebhook", ({ params, payload }) =>
      inTenant(
        Effect.map(
          once(
            `webhooks/${params.id}/recoveries`,
            payload,
            Effect.map(recover(params.id, new Date(payload.since)), (row) => ({ status: 201, body: recoveryView(row) }))
          ),
          ({ body }) => body
        )
      )
    )
    .handle("webhookRecovery", ({ params }) =>
      inTenant(Effect.map(recoveryOf(params.id, params.recovery), recoveryView))
    )
)

export const webhooksApiLayer = HttpApiBuilder.layer(WebhooksApi).pipe(Layer.provide(handlers))
