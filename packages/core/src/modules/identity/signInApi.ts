/** Doors for signing in, for the session, and for one's own profile. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { Door } from "../../kernel/http/Door.ts"
import { Id } from "../../kernel/ids.ts"
import { limitedRoute } from "../../kernel/limits/headers.ts"
import { devicePattern } from "./devices.ts"
import { VerifiedView } from "./checksApi.ts"
import { Phone, SignInBy } from "./model.ts"
import { refreshTokenPattern } from "./sessions.ts"

const Language = Schema.String.check(Schema.isMaxLength(35))

/** The text that an earlier sign-in on this device has answered; keep it as long as the app is installed. */
export const Device = Schema.String.check(Schema.isPattern(devicePattern))

const Session = Schema.Struct({
  accessToken: Schema.String,
  tokenType: Schema.Literal("Bearer"),
  /** Seconds. */
  expiresIn: Schema.Int,
  principalId: Id,
  sessionId: Id,
  /** Good for one refresh. A second use ends the session. */
  refreshToken: Schema.String,
  /** Seconds until the session ends, however often it is refreshed. */
  refreshExpiresIn: Schema.Int,
  /** `verify` and `enrol`: the session can do nothing else before. */
  secondFactor: Schema.Literals(["none", "passed", "verify", "enrol"])
}).annotate({ identifier: "Session" })

export const NewSession = Schema.Struct({
  ...Session.fields,
  /** Send it with the next sign-in on this device. */
  device: Schema.String
}).annotate({ identifier: "NewSession" })

const Me = Schema.Struct({
  id: Schema.NullOr(Id),
  kind: Schema.String,
  name: Schema.NullOr(Schema.String),
  language: Schema.String,
  /** The last two digits only. */
  phone: Schema.NullOr(Schema.String),
  /** That a register has confirmed who this is. */
  verified: Schema.NullOr(VerifiedView),
  roles: Schema.Array(Schema.Struct({ role: Schema.String, territoryId: Schema.NullOr(Id) }))
}).annotate({ identifier: "Me" })

const SessionView = Schema.Struct({
  id: Id,
  /** The one that asks. */
  current: Schema.Boolean,
  signedInBy: SignInBy,
  /** Coarse, as "Chrome on Android". */
  device: Schema.NullOr(Schema.String),
  secondFactor: Schema.Literals(["none", "pending", "passed"]),
  createdAt: Schema.String.annotate({ format: "date-time" }),
  lastUsedAt: Schema.String.annotate({ format: "date-time" }),
  expiresAt: Schema.String.annotate({ format: "date-time" })
}).annotate({ identifier: "SessionOfMine" })

export const SignInGroup = HttpApiGroup.make("identity")
  .add(
    HttpApiEndpoint.post("sendCode", "/auth/code", {
      payload: Schema.Struct({
        phone: Phone,
        language: Schema.optionalKey(Language),
        /** Of a device known here: strangers who ask for codes do not make it wait. */
        device: Schema.optionalKey(Device),
        /** A code is worth nothing for anything else; `sign-in` where nothing is said. */
        purpose: Schema.optionalKey(Schema.Literals(["sign-in", "delete-account"]))
      }),
      success: Schema.Struct({ expiresIn: Schema.Int }).pipe(HttpApiSchema.status(202))
    }).annotate(OpenApi.Transform, limitedRoute)
  )
  .add(
    HttpApiEndpoint.post("signIn", "/auth/session", {
      payload: Schema.Struct({
        phone: Phone,
        code: Schema.String.check(Schema.isPattern(/^\d{6}$/)),
        language: Schema.optionalKey(Language),
        device: Schema.optionalKey(Device)
      }),
      success: NewSession
    }).annotate(OpenApi.Transform, limitedRoute)
  )
  .add(
    HttpApiEndpoint.post("useLink", "/auth/link", {
      payload: Schema.Struct({
        token: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{43}$/)),
        device: Schema.optionalKey(Device)
      }),
      success: NewSession
    }).annotate(OpenApi.Transform, limitedRoute)
  )
  .add(
    HttpApiEndpoint.post("refresh", "/auth/refresh", {
      payload: Schema.Struct({ refreshToken: Schema.String.check(Schema.isPattern(refreshTokenPattern)) }),
      success: Session
    })
  )
  .add(HttpApiEndpoint.post("signOut", "/auth/sign-out", { success: HttpApiSchema.NoContent }))
  .add(HttpApiEndpoint.get("me", "/me", { success: Me }))
  .add(
    HttpApiEndpoint.patch("changeMe", "/me", {
      payload: Schema.Struct({
        name: Schema.optionalKey(Schema.NullOr(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200)))),
        /** BCP 47. */
        language: Schema.optionalKey(Language.check(Schema.isPattern(/^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/)))
      }),
      success: Me
    })
  )
  .middleware(Door)

export const SessionsGroup = HttpApiGroup.make("sessions")
  .add(
    HttpApiEndpoint.get("listSessions", "/me/sessions", {
      query: {
        cursor: Schema.optionalKey(Id),
        limit: Schema.optionalKey(
          Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 200 }))
        )
      },
      success: Schema.Struct({ items: Schema.Array(SessionView), cursor: Schema.optionalKey(Id) })
    })
  )
  .add(
    HttpApiEndpoint.delete("endSession", "/me/sessions/:id", {
      params: { id: Id },
      success: HttpApiSchema.NoContent
    })
  )
  .add(
    HttpApiEndpoint.post("endOtherSessions", "/me/sessions/end-others", {
      success: Schema.Struct({ ended: Schema.Int })
    })
  )
  .middleware(Door)
