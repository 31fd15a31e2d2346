/** What stands behind the doors to rules. */
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { versionAsked } from "../../kernel/http/asked.ts"
import { answering, inTenant } from "../../kernel/http/Door.ts"
import { TelemetryApi } from "./api.ts"
import { tryRule } from "./dryRuns.ts"
import type { RuleDefinition } from "./rules/definition.ts"
import { getRule, type ListedRule, listRules, putRule, removeRule, switchRule, versionsOf } from "./storedRules.ts"

const bodyOf = ({ id: _id, version: _version, ...body }: RuleDefinition) => body

const ruleView = ({ changedAt, definition, ...rule }: ListedRule) => ({
  ...rule,
  changedAt: changedAt?.toISOString() ?? null,
  definition: bodyOf(definition)
})

const answerOf = (body: { readonly version: number }, status = 200) =>
  HttpServerResponse.jsonUnsafe(body, { status, headers: { etag: `"${body.version}"` } }) as never

const text = (time: number) => new Date(time).toISOString()

const dryRunView = ({
  byDevice,
  episodes,
  from,
  names,
  quietest,
  until,
  ...rest
}: Effect.Success<ReturnType<typeof tryRule>>) => {
  const nameOf = (originator: string) => names.get(originator) ?? originator.replace(/^set:/, "")
  return {
    ...rest,
    from: text(from),
    until: text(until),
    episodes: episodes.map(({ episode: _episode, ...one }) => ({
      ...one,
      name: nameOf(one.originator),
      from: text(one.from),
      until: one.until === null ? null : text(one.until)
    })),
    byDevice: byDevice
      .slice(0, 1_000)
      .map(([originator, raised]) => ({ originator, name: nameOf(originator), raised })),
    quietest: quietest === null ? null : { from: text(quietest.from), until: text(quietest.until) }
  }
}

const asked = Effect.flatMap(HttpServerRequest.HttpServerRequest, versionAsked)

const switched = (id: string, enabled: boolean) =>
  inTenant(
    Effect.flatMap(asked, (expected) =>
      Effect.map(switchRule(id, enabled, expected), (rule) => answerOf(ruleView(rule)))
    )
  )

export const rulesHandlers = HttpApiBuilder.group(TelemetryApi, "rules", (handlers) =>
  handlers
    .handle("listRules", ({ query: { enabled, ...paging } }) =>
      inTenant(
        Effect.map(listRules(enabled === undefined ? undefined : enabled === "true", paging), ({ items, ...rest }) => ({
          items: items.map(ruleView),
          ...rest
        }))
      )
    )
    .handle("getRule", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          const rule = yield* getRule(params.id)
          const versions = (yield* versionsOf(params.id)).map(({ createdAt, definition, ...version }) => ({
            ...version,
            definition: bodyOf(definition),
            createdAt: createdAt.toISOString()
          }))
          return answerOf({ ...ruleView(rule), versions } as { readonly version: number })
        })
      )
    )
    .handle("putRule", ({ params, payload }) =>
      inTenant(
        Effect.flatMap(asked, (expected) =>
          Effect.map(putRule(params.id, payload.definition, expected), ({ made, rule, warnings }) =>
            answerOf({ ...ruleView(rule), warnings } as { readonly version: number }, made ? 201 : 200)
          )
        )
      )
    )
    .handle("dryRun", ({ payload: { definition, from, until } }) =>
      answering(
        Effect.map(
          tryRule({
            definition,
            ...(from === undefined ? {} : { from: new Date(from) }),
            ...(until === undefined ? {} : { until: new Date(until) })
          }),
          dryRunView
        )
      )
    )
    .handle("removeRule", ({ params }) =>
      inTenant(Effect.flatMap(asked, (expected) => removeRule(params.id, expected)))
    )
    .handle("enableRule", ({ params }) => switched(params.id, true))
    .handle("disableRule", ({ params }) => switched(params.id, false))
)
