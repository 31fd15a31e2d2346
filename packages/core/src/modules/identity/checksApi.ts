/** Doors for being confirmed by a register of people. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { Door } from "../../kernel/http/Door.ts"
import { takesIdempotencyKey } from "../../kernel/http/once.ts"
import { Id } from "../../kernel/ids.ts"
import { limitedRoute } from "../../kernel/limits/headers.ts"

const Moment = Schema.String.annotate({ format: "date-time" })
const AssuranceLevel = Schema.Literals(["low", "substantial", "high"])

export const VerifiedView = Schema.Struct({
  assurance: AssuranceLevel,
  /** The register that confirmed it. */
  by: Schema.String,
  at: Moment
}).annotate({ identifier: "Verified" })

const Check = Schema.Struct({
  id: Id,
  register: Schema.String,
  /** `waiting`: the register has not answered yet and is asked again by itself. `no-answer`: it was given up after a week. */
  state: Schema.Literals(["waiting", "confirmed", "not-confirmed", "no-answer", "revoked"]),
  /** Of `not-confirmed`. `used-elsewhere`: another account of this city is confirmed with this person. */
  reason: Schema.NullOr(Schema.Literals(["no-match", "not-valid", "not-usable", "used-elsewhere"])),
  assurance: Schema.NullOr(AssuranceLevel),
  askedAt: Moment,
  settledAt: Schema.NullOr(Moment)
}).annotate({ identifier: "IdentityCheck" })

const Register = Schema.Struct({
  id: Schema.String,
  title: Schema.String,
  /** What the register calls the number that it asks for. */
  numberTitle: Schema.String,
  /** A regular expression for the number, without spaces and in capitals. */
  numberPattern: Schema.String,
  needs: Schema.Array(Schema.Literals(["birthDate", "name"])),
  /** What the person agrees to; show it before they send anything. */
  text: Schema.String,
  /** Send it back as `consent`. */
  consent: Schema.String
}).annotate({ identifier: "IdentityRegister" })

const short = (most: number) => Schema.String.check(Schema.isMaxLength(most))

export const ChecksGroup = HttpApiGroup.make("identityChecks")
  .add(
    HttpApiEndpoint.get("identityChecks", "/me/identity-checks", {
      success: Schema.Struct({
        verified: Schema.NullOr(VerifiedView),
        /** In the person's language. */
        registers: Schema.Array(Register),
        /** The newest twenty. */
        items: Schema.Array(Check)
      })
    })
  )
  .add(
    HttpApiEndpoint.post("startIdentityCheck", "/me/identity-checks", {
      payload: Schema.Struct({
        register: short(200),
        number: short(200),
        /** `1990-07-31`. */
        birthDate: Schema.optionalKey(short(20)),
        name: Schema.optionalKey(short(200)),
        /** Of the text that the person has read and agreed to. */
        consent: short(40)
      }),
      success: Check.pipe(HttpApiSchema.status(202))
    }).annotate(OpenApi.Transform, (operation) => takesIdempotencyKey(limitedRoute(operation)))
  )
  .add(
    HttpApiEndpoint.delete("revokeConfirmations", "/principals/:id/identity-checks", {
      params: { id: Id },
      success: Schema.Struct({ revoked: Schema.Int })
    })
  )
  .middleware(Door)
