/** The platform's doors: all there is that crosses cities. `kernel/platform/operations.ts` has the list in words. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { PlatformDoor, PlatformFactorDoor, PlatformThreshold } from "../../kernel/http/PlatformDoor.ts"
import { Id } from "../../kernel/ids.ts"
import { NewTenant } from "../../kernel/tenancy/tenants.ts"
import { GivenMoment, Json, page, PageQuery, Timestamp } from "../../kernel/http/schemas.ts"

const City = Schema.Struct({
  tenantId: Id,
  slug: Schema.String,
  name: Schema.String,
  hosts: Schema.Array(Schema.String),
  createdAt: Timestamp,
  suspendedAt: Schema.NullOr(Timestamp),
  suspendedBecause: Schema.NullOr(Schema.String)
}).annotate({ identifier: "PlatformCity" })

const Figures = Schema.Struct({
  tenantId: Id,
  slug: Schema.String,
  suspended: Schema.Boolean,
  people: Schema.Int,
  staff: Schema.Int,
  cases: Schema.Int,
  openCases: Schema.Int,
  attachmentBytes: Schema.Int,
  /** Positions given in the city's order of events. */
  events: Schema.Int,
  waitingJobs: Schema.Int,
  deadJobs: Schema.Int
}).annotate({ identifier: "PlatformFigures" })

const Access = Schema.Struct({
  tenantId: Id,
  /** The member of that city's staff that the access acts as. */
  principalId: Id,
  until: Timestamp,
  accessToken: Schema.String,
  tokenType: Schema.Literal("Bearer"),
  /** Seconds; renew it while the access lasts. */
  expiresIn: Schema.Int
}).annotate({ identifier: "PlatformAccess" })

const LogEntry = Schema.Struct({
  position: Schema.Int,
  operation: Schema.String,
  adminId: Schema.NullOr(Id),
  tenantId: Schema.NullOr(Id),
  detail: Json,
  happenedAt: Timestamp
}).annotate({ identifier: "PlatformLogEntry" })

const Reason = Schema.String.check(Schema.isMinLength(10), Schema.isMaxLength(1000)).annotate({
  description: "Why, in a sentence; the city reads it too"
})
/** Of an authenticator app. */
const Code = Schema.String.check(Schema.isPattern(/^\d{6}$/))
const AdminParam = Schema.Struct({ admin: Id })
const Admin = Schema.Struct({
  id: Id,
  name: Schema.String,
  status: Schema.Literals(["active", "blocked"]),
  /** Whether they have set one up. */
  secondFactor: Schema.Boolean,
  createdAt: Timestamp
}).annotate({ identifier: "PlatformAdmin" })
const Slug = Schema.Struct({ slug: Schema.String.check(Schema.isMaxLength(63)) })
const AccessParam = Schema.Struct({ ...Slug.fields, access: Id })

export const PlatformApi = cityApi("platform")
  .add(
    HttpApiGroup.make("platformSession")
      .add(
        HttpApiEndpoint.post("platformSignIn", "/session", {
          payload: Schema.Struct({ token: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{43}$/)) }),
          success: Schema.Struct({
            accessToken: Schema.String,
            tokenType: Schema.Literal("Bearer"),
            expiresIn: Schema.Int,
            /** What the token needs before it opens anything: `verify`: show the one you have; `enrol`: set one up. */
            secondFactor: Schema.Literals(["none", "verify", "enrol"])
          })
        })
      )
      .middleware(PlatformThreshold)
  )
  .add(
    HttpApiGroup.make("platformFactors")
      .add(
        HttpApiEndpoint.post("showPlatformFactor", "/second-factor", {
          payload: Schema.Struct({ code: Code }),
          success: Schema.Struct({ secondFactor: Schema.Literal("passed") })
        }),
        HttpApiEndpoint.post("beginPlatformTotp", "/factors/totp", {
          success: Schema.Struct({
            /** Base 32, for typing. */
            secret: Schema.String,
            /** `otpauth:` address for a QR code. */
            uri: Schema.String
          })
        }),
        HttpApiEndpoint.post("confirmPlatformTotp", "/factors/totp/confirm", {
          payload: Schema.Struct({ code: Code }),
          success: Schema.Struct({ secondFactor: Schema.Literal("passed") })
        })
      )
      .middleware(PlatformFactorDoor)
  )
  .add(
    HttpApiGroup.make("platform")
      .add(
        HttpApiEndpoint.get("cities", "/tenants", { success: Schema.Struct({ items: Schema.Array(City) }) }),
        HttpApiEndpoint.post("foundCity", "/tenants", {
          payload: NewTenant,
          success: City.pipe(HttpApiSchema.status(201))
        }),
        HttpApiEndpoint.post("suspendCity", "/tenants/:slug/suspend", {
          params: Slug,
          payload: Schema.Struct({ reason: Reason }),
          success: City
        }),
        HttpApiEndpoint.post("resumeCity", "/tenants/:slug/resume", {
          params: Slug,
          payload: Schema.Struct({ reason: Reason }),
          success: City
        }),
        HttpApiEndpoint.post("openAccess", "/tenants/:slug/access", {
          params: Slug,
          payload: Schema.Struct({ reason: Reason, until: GivenMoment }),
          success: Access.pipe(HttpApiSchema.status(201))
        }),
        HttpApiEndpoint.post("renewAccess", "/tenants/:slug/access/:access/token", {
          params: AccessParam,
          success: Access
        }),
        HttpApiEndpoint.delete("closeAccess", "/tenants/:slug/access/:access", {
          params: AccessParam,
          success: HttpApiSchema.NoContent
        }),
        HttpApiEndpoint.get("platformAdmins", "/admins", { success: Schema.Struct({ items: Schema.Array(Admin) }) }),
        HttpApiEndpoint.post("blockAdmin", "/admins/:admin/block", {
          params: AdminParam,
          payload: Schema.Struct({ reason: Reason }),
          success: Admin
        }),
        HttpApiEndpoint.post("signOutAdmin", "/admins/:admin/sign-out", {
          params: AdminParam,
          payload: Schema.Struct({ reason: Reason }),
          success: HttpApiSchema.NoContent
        }),
        HttpApiEndpoint.get("figures", "/figures", { success: Schema.Struct({ items: Schema.Array(Figures) }) }),
        HttpApiEndpoint.get("platformLog", "/log", {
          query: {
            limit: PageQuery.limit,
            cursor: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^\d{1,15}$/)))
          },
          success: page(LogEntry)
        })
      )
      .middleware(PlatformDoor)
  )
  .prefix("/v1/platform")
