/** How long a city keeps what, and what the next sweep would take away. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { answering, Door, RequestInfo } from "../../kernel/http/Door.ts"
import { retentionOf } from "../../kernel/personal/Retention.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"

const Retention = Schema.Struct({
  kind: Schema.String,
  /** Null: kept. Set by `retention` in the tenant's settings. */
  days: Schema.NullOr(Schema.Int),
  defaultDays: Schema.NullOr(Schema.Int),
  /** Rows that the next sweeps would take away. */
  due: Schema.Int
}).annotate({ identifier: "Retention" })

export const RetentionApi = cityApi("retention")
  .add(
    HttpApiGroup.make("retention")
      .add(
        HttpApiEndpoint.get("retention", "/retention", {
          success: Schema.Struct({ items: Schema.Array(Retention) })
        })
      )
      .middleware(Door)
  )
  .prefix("/v1")

export const retentionHandlers = HttpApiBuilder.group(RetentionApi, "retention", (handlers) =>
  handlers.handle("retention", () =>
    answering(
      Effect.gen(function* () {
        yield* demandEverywhere("retention.read")
        return { items: yield* retentionOf((yield* RequestInfo).tenant) }
      })
    )
  )
)
