/** Doors to devices: profiles, devices, their credentials. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { Door } from "../../kernel/http/Door.ts"
import { takesIdempotencyKey } from "../../kernel/http/once.ts"
import { GivenMoment, IdParam, Json, page, PageQuery, Timestamp } from "../../kernel/http/schemas.ts"
import { Id } from "../../kernel/ids.ts"
import { anomaliesGroup } from "./anomaliesApi.ts"
import { commandsGroup } from "./commandsApi.ts"
import { CodecSource, GivenUplink, ProfileDefinition } from "./profile.ts"
import { provisioningGroup } from "./provisioningApi.ts"
import { readingsGroup } from "./readingsApi.ts"
import { rulesGroup } from "./rulesApi.ts"
import { zonesGroup } from "./zones/api.ts"

const Name = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$/)).annotate({
  description: "What stands in topics: letters, digits, _ . : -"
})
const Title = Schema.String.check(Schema.isMaxLength(200))
const Group = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,59}$/))
const Longitude = Schema.NullOr(Schema.Finite.check(Schema.isBetween({ minimum: -180, maximum: 180 })))
const Latitude = Schema.NullOr(Schema.Finite.check(Schema.isBetween({ minimum: -90, maximum: 90 })))

export const ProfileView = Schema.Struct({
  id: Id,
  name: Schema.String,
  version: Schema.Int,
  definition: ProfileDefinition,
  createdAt: Timestamp,
  changedAt: Timestamp
}).annotate({ identifier: "DeviceProfile" })

const changeable = {
  title: Schema.optionalKey(Title),
  parentId: Schema.optionalKey(Schema.NullOr(Id)),
  gateway: Schema.optionalKey(Schema.Boolean),
  groups: Schema.optionalKey(Schema.Array(Group).check(Schema.isMaxLength(50), Schema.isUnique())),
  territoryId: Schema.optionalKey(Schema.NullOr(Id)),
  longitude: Schema.optionalKey(Longitude),
  latitude: Schema.optionalKey(Latitude),
  assetId: Schema.optionalKey(Schema.NullOr(Id))
}

export const NewDeviceSchema = Schema.Struct({ name: Name, profileId: Id, ...changeable }).annotate({
  identifier: "NewDevice"
})

const Status = Schema.Literals(["active", "blocked", "retired"])

export const DeviceView = Schema.Struct({
  id: Id,
  name: Schema.String,
  title: Schema.String,
  profileId: Id,
  parentId: Schema.NullOr(Id),
  gateway: Schema.Boolean,
  status: Status,
  groups: Schema.Array(Schema.String),
  territoryId: Schema.NullOr(Id),
  longitude: Schema.NullOr(Schema.Finite),
  latitude: Schema.NullOr(Schema.Finite),
  assetId: Schema.NullOr(Id),
  attributes: Json,
  createdAt: Timestamp,
  /** Event time of its newest word. */
  seenAt: Schema.NullOr(Timestamp),
  offlineSince: Schema.NullOr(Timestamp),
  /** Percent. */
  battery: Schema.NullOr(Schema.Finite),
  /** dBm. */
  rssi: Schema.NullOr(Schema.Finite),
  /** dB. */
  snr: Schema.NullOr(Schema.Finite)
}).annotate({ identifier: "Device" })

const Kind = Schema.Literals(["token", "basic", "x509"])

export const CredentialView = Schema.Struct({
  id: Id,
  kind: Kind,
  label: Schema.String,
  validFrom: Timestamp,
  validUntil: Schema.NullOr(Timestamp),
  revokedAt: Schema.NullOr(Timestamp)
}).annotate({ identifier: "DeviceCredential" })

const NewCredentialSchema = Schema.Union([
  Schema.Struct({
    kind: Schema.Literal("token"),
    /** One that a fleet has already; drawn where it is left out. */
    token: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{16,200}$/)))
  }),
  Schema.Struct({
    kind: Schema.Literal("basic"),
    user: Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{1,200}$/))
  }),
  Schema.Struct({
    kind: Schema.Literal("x509"),
    /** PEM, or DER as base64. */
    certificate: Schema.String.check(Schema.isMaxLength(20_000))
  })
])

const Truth = Schema.Literals(["true", "false"])

const profiles = HttpApiGroup.make("deviceProfiles")
  .add(
    HttpApiEndpoint.get("listProfiles", "/device-profiles", {
      success: Schema.Struct({ items: Schema.Array(ProfileView) })
    }),
    HttpApiEndpoint.post("createProfile", "/device-profiles", {
      payload: Schema.Struct({
        name: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(100)),
        definition: ProfileDefinition
      }),
      success: ProfileView.pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.post("decode", "/device-profiles/decode", {
      payload: Schema.Struct({
        codec: Schema.Struct({ source: CodecSource }),
        input: GivenUplink
      }),
      success: Schema.Struct({
        /** What the codec made of the bytes, or why it made nothing. */
        data: Schema.optionalKey(Json),
        failure: Schema.optionalKey(
          Schema.Struct({ reason: Schema.Literals(["codec-failed", "codec-too-slow"]), message: Schema.String })
        ),
        warnings: Schema.Array(Schema.String)
      })
    }),
    HttpApiEndpoint.get("getProfile", "/device-profiles/:id", { params: IdParam, success: ProfileView }),
    HttpApiEndpoint.patch("changeProfile", "/device-profiles/:id", {
      params: IdParam,
      payload: Schema.Struct({ definition: ProfileDefinition }),
      success: ProfileView
    })
  )
  .middleware(Door)

const devices = HttpApiGroup.make("devices")
  .add(
    HttpApiEndpoint.get("listDevices", "/devices", {
      query: {
        ...PageQuery,
        q: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(100))),
        profile: Schema.optionalKey(Id),
        group: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(60))),
        status: Schema.optionalKey(Status),
        offline: Schema.optionalKey(Truth),
        territory: Schema.optionalKey(Id),
        gateway: Schema.optionalKey(Id),
        asset: Schema.optionalKey(Id)
      },
      success: page(DeviceView)
    }),
    HttpApiEndpoint.post("createDevice", "/devices", {
      payload: NewDeviceSchema,
      success: DeviceView.pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.post("createDevices", "/devices/batch", {
      payload: Schema.Struct({
        devices: Schema.Array(NewDeviceSchema).check(Schema.isMinLength(1), Schema.isMaxLength(1000))
      }),
      success: Schema.Struct({ items: Schema.Array(Schema.Struct({ id: Id, name: Schema.String })) }).pipe(
        HttpApiSchema.status(201)
      )
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.get("getDevice", "/devices/:id", { params: IdParam, success: DeviceView }),
    HttpApiEndpoint.patch("changeDevice", "/devices/:id", {
      params: IdParam,
      payload: Schema.Struct({
        ...changeable,
        profileId: Schema.optionalKey(Id),
        status: Schema.optionalKey(Status)
      }),
      success: DeviceView
    }),
    HttpApiEndpoint.get("listCredentials", "/devices/:id/credentials", {
      params: IdParam,
      success: Schema.Struct({ items: Schema.Array(CredentialView) })
    }),
    HttpApiEndpoint.post("addCredential", "/devices/:id/credentials", {
      params: IdParam,
      payload: Schema.Struct({
        credential: NewCredentialSchema,
        /** Seconds after which the device's other credentials end; without it they stay. */
        othersEndAfter: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 366 * 86_400 }))),
        validUntil: Schema.optionalKey(GivenMoment)
      }),
      success: Schema.Struct({
        ...CredentialView.fields,
        /** Only here, and only where it was drawn. */
        token: Schema.optionalKey(Schema.String),
        password: Schema.optionalKey(Schema.String)
      }).pipe(HttpApiSchema.status(201))
    }),
    HttpApiEndpoint.delete("revokeCredential", "/devices/:id/credentials/:credential", {
      params: Schema.Struct({ id: Id, credential: Id }),
      success: HttpApiSchema.NoContent
    })
  )
  .middleware(Door)

export const TelemetryApi = cityApi("telemetry")
  .add(profiles)
  .add(devices)
  .add(commandsGroup)
  .add(readingsGroup)
  .add(rulesGroup)
  .add(anomaliesGroup)
  .add(provisioningGroup)
  .add(zonesGroup)
  .prefix("/v1")
