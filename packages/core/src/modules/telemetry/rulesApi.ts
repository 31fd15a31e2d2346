/** Doors to rules: kept as data, tried on what was measured, switched on and off. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { Door } from "../../kernel/http/Door.ts"
import { GivenMoment, page, PageQuery, Timestamp } from "../../kernel/http/schemas.ts"
import { Id } from "../../kernel/ids.ts"
import { RuleBody, RuleId, RuleSeverity, severities } from "./rules/definition.ts"

const RuleParam = Schema.Struct({ id: RuleId })

const rule = {
  id: Schema.String,
  version: Schema.Int,
  /** `deployment`: given by its code to every city and not to be changed; a rule of the same id takes its place. */
  source: Schema.Literals(["city", "deployment"]),
  enabled: Schema.Boolean,
  /** Null of the deployment's. */
  changedAt: Schema.NullOr(Timestamp),
  definition: RuleBody
}
const RuleView = Schema.Struct(rule).annotate({ identifier: "Rule" })

const VersionView = Schema.Struct({
  version: Schema.Int,
  definition: RuleBody,
  createdBy: Schema.NullOr(Id),
  createdAt: Timestamp
}).annotate({ identifier: "RuleVersion" })

const CheckedRuleView = Schema.Struct({
  ...rule,
  /** The rule works, but perhaps not as it was meant. */
  warnings: Schema.Array(Schema.Struct({ pointer: Schema.String, detail: Schema.String }))
}).annotate({ identifier: "CheckedRule" })

const counts = Schema.Struct(
  Object.fromEntries(severities.map((severity) => [severity, Schema.Int])) as Record<RuleSeverity, Schema.Int>
)

const DryRunView = Schema.Struct({
  from: Timestamp,
  until: Timestamp,
  /** To which the rule applies, as they are now. */
  devices: Schema.Int,
  readings: Schema.Int,
  /** So many alerts. */
  raised: Schema.Int,
  /** Up at the end. */
  standing: Schema.Int,
  bySeverity: counts,
  /** The first 50, by when they were raised. */
  episodes: Schema.Array(
    Schema.Struct({
      /** A device's id, or `set:` and the set's. */
      originator: Schema.String,
      name: Schema.String,
      /** The worst it had. */
      severity: RuleSeverity,
      from: Timestamp,
      /** Null: it was still up at the end. */
      until: Schema.NullOr(Timestamp),
      flapping: Schema.Boolean,
      because: Schema.String
    })
  ),
  /** The 1,000 loudest, the loudest first. */
  byDevice: Schema.Array(Schema.Struct({ originator: Schema.String, name: Schema.String, raised: Schema.Int })),
  /** The longest time without any alert being up. */
  quietest: Schema.NullOr(Schema.Struct({ from: Timestamp, until: Timestamp }))
}).annotate({ identifier: "DryRun" })

export const rulesGroup = HttpApiGroup.make("rules")
  .add(
    HttpApiEndpoint.get("listRules", "/rules", {
      query: { ...PageQuery, enabled: Schema.optionalKey(Schema.Literals(["true", "false"])) },
      success: page(RuleView)
    }),
    HttpApiEndpoint.get("getRule", "/rules/:id", {
      params: RuleParam,
      /** The newest 100 versions, the newest first. */
      success: Schema.Struct({ ...rule, versions: Schema.Array(VersionView) })
    }),
    HttpApiEndpoint.put("putRule", "/rules/:id", {
      params: RuleParam,
      payload: Schema.Struct({ definition: RuleBody }),
      success: [CheckedRuleView, CheckedRuleView.pipe(HttpApiSchema.status(201))]
    }),
    HttpApiEndpoint.post("dryRun", "/rules/dry-run", {
      payload: Schema.Struct({
        definition: RuleBody,
        /** Default: a week before the end. */
        from: Schema.optionalKey(GivenMoment),
        /** Default: now. */
        until: Schema.optionalKey(GivenMoment)
      }),
      success: DryRunView
    }),
    HttpApiEndpoint.delete("removeRule", "/rules/:id", { params: RuleParam, success: HttpApiSchema.NoContent }),
    HttpApiEndpoint.post("enableRule", "/rules/:id/enable", { params: RuleParam, success: RuleView }),
    HttpApiEndpoint.post("disableRule", "/rules/:id/disable", { params: RuleParam, success: RuleView })
  )
  .middleware(Door)
