/** Doors to whoever may bring new devices. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { Door } from "../../kernel/http/Door.ts"
import { GivenMoment, IdParam, Timestamp } from "../../kernel/http/schemas.ts"
import { Id } from "../../kernel/ids.ts"

const view = {
  id: Id,
  kind: Schema.Literals(["x509", "key"]),
  profileId: Id,
  /** Whether names must have been registered before. */
  registeredOnly: Schema.Boolean,
  /** Names of the devices it is for, with one `*` at most; null: all. */
  names: Schema.NullOr(Schema.String),
  /** How many new devices it may bring, and has brought; null: as many as come. */
  most: Schema.NullOr(Schema.Int),
  brought: Schema.Int,
  label: Schema.String,
  validUntil: Schema.NullOr(Timestamp)
}
const View = Schema.Struct(view).annotate({ identifier: "DeviceProvisioning" })

export const provisioningGroup = HttpApiGroup.make("deviceProvisioning")
  .add(
    HttpApiEndpoint.get("listProvisionings", "/device-provisioning", {
      success: Schema.Struct({ items: Schema.Array(View) })
    }),
    HttpApiEndpoint.post("createProvisioning", "/device-provisioning", {
      payload: Schema.Struct({
        /** Of the devices that come this way. */
        profileId: Id,
        registeredOnly: Schema.optionalKey(Schema.Boolean),
        /** Names of the devices that may come this way, also of those that came before: as they are, or with one `*` for any characters. Default: all. */
        names: Schema.optionalKey(
          Schema.String.check(
            Schema.isMaxLength(100),
            Schema.isPattern(/^(?!\*?$)[A-Za-z0-9_.:-]*\*?[A-Za-z0-9_.:-]*$/)
          )
        ),
        /** How many new devices it brings at most. Default: as many as come. */
        most: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 }))),
        label: Schema.optionalKey(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200))),
        validUntil: Schema.optionalKey(GivenMoment),
        /** An authority's, PEM or DER as base64: devices whose certificates it has signed come by their common name. Without it a key is drawn. */
        certificate: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(20_000)))
      }),
      success: Schema.Struct({
        ...view,
        /** Only here, for `POST /api/v1/provision`: both, or as one word with a dot between. */
        provisionDeviceKey: Schema.optionalKey(Schema.String),
        provisionDeviceSecret: Schema.optionalKey(Schema.String)
      }).pipe(HttpApiSchema.status(201))
    }),
    HttpApiEndpoint.delete("revokeProvisioning", "/device-provisioning/:id", {
      params: IdParam,
      success: HttpApiSchema.NoContent
    })
  )
  .middleware(Door)
