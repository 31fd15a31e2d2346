/** What stands behind the doors to devices. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { answering, inTenant } from "../../kernel/http/Door.ts"
import { once } from "../../kernel/http/once.ts"
import { versionAsked } from "../../kernel/http/asked.ts"
import { anomaliesHandlers } from "./anomaliesHandlers.ts"
import { TelemetryApi } from "./api.ts"
import { demandCases, tryCodec } from "./codecs.ts"
import { getCommand, listCommands, sendCommand, type StoredCommand } from "./commands.ts"
import { addCredential, listCredentials, revokeCredential, type StoredCredential } from "./credentials.ts"
import { changeDevice, createDevices, getDevice, listDevices, type StoredDevice } from "./devices.ts"
import { readingsHandlers } from "./readingsHandlers.ts"
import { createProvisioning, listProvisionings, revokeProvisioning, type StoredProvisioning } from "./provisioning.ts"
import { rulesHandlers } from "./rulesHandlers.ts"
import { changeProfile, createProfile, getProfile, listProfiles, type StoredProfile } from "./profiles.ts"
import { zonesHandlers } from "./zones/handlers.ts"

const profileView = (profile: StoredProfile) => ({
  ...profile,
  createdAt: profile.createdAt.toISOString(),
  changedAt: profile.changedAt.toISOString()
})

const profileAnswer = (profile: StoredProfile) =>
  HttpServerResponse.jsonUnsafe(profileView(profile), { headers: { etag: `"${profile.version}"` } }) as never

const text = (moment: Date | null) => moment?.toISOString() ?? null

const deviceView = ({ territoryPath: _territoryPath, ...device }: StoredDevice) => ({
  ...device,
  createdAt: device.createdAt.toISOString(),
  seenAt: text(device.seenAt),
  offlineSince: text(device.offlineSince)
})

const credentialView = <C extends StoredCredential>(credential: C) => ({
  ...credential,
  validFrom: credential.validFrom.toISOString(),
  validUntil: text(credential.validUntil),
  revokedAt: text(credential.revokedAt)
})

const created = (path: string, body: { readonly id: string }, headers: Readonly<Record<string, string>>) =>
  HttpServerResponse.jsonUnsafe(body, { status: 201, headers: { ...headers, location: `${path}/${body.id}` } }) as never

const profileHandlers = HttpApiBuilder.group(TelemetryApi, "deviceProfiles", (handlers) =>
  handlers
    .handle("listProfiles", () => inTenant(Effect.map(listProfiles, (items) => ({ items: items.map(profileView) }))))
    .handle("createProfile", ({ payload }) =>
      Effect.andThen(
        answering(demandCases(payload.definition)),
        inTenant(
          Effect.map(
            once(
              "device-profiles",
              payload,
              Effect.map(createProfile(payload.name, payload.definition), (profile) => ({
                status: 201,
                body: profileView(profile)
              }))
            ),
            ({ body, headers }) => created("/v1/device-profiles", body, headers)
          )
        )
      )
    )
    .handle("decode", ({ payload }) => answering(tryCodec(payload.codec, payload.input)))
    .handle("getProfile", ({ params }) => inTenant(Effect.map(getProfile(params.id), profileAnswer)))
    .handle("changeProfile", ({ params, payload, request }) =>
      Effect.andThen(
        answering(demandCases(payload.definition)),
        inTenant(
          Effect.gen(function* () {
            const version = yield* versionAsked(request)
            return profileAnswer(yield* changeProfile(params.id, payload.definition, version))
          })
        )
      )
    )
)

const deviceHandlers = HttpApiBuilder.group(TelemetryApi, "devices", (handlers) =>
  handlers
    .handle("listDevices", ({ query: { cursor, limit, offline, ...filter } }) =>
      inTenant(
        Effect.map(
          listDevices(
            { ...filter, offline: offline === undefined ? undefined : offline === "true" },
            { cursor, limit }
          ),
          ({ items, ...rest }) => ({ items: items.map(deviceView), ...rest })
        )
      )
    )
    .handle("createDevice", ({ payload }) =>
      inTenant(
        Effect.map(
          once(
            "devices",
            payload,
            Effect.gen(function* () {
              const [device] = yield* createDevices([payload], () => "")
              return { status: 201, body: deviceView(yield* getDevice(device!.id)) }
            })
          ),
          ({ body, headers }) => created("/v1/devices", body, headers)
        )
      )
    )
    .handle("createDevices", ({ payload }) =>
      inTenant(
        Effect.map(
          once(
            "devices/batch",
            payload,
            Effect.map(
              createDevices(payload.devices, (place) => `/devices/${place}`),
              (items) => ({ status: 201, body: { items } })
            )
          ),
          ({ body, headers }) => HttpServerResponse.jsonUnsafe(body, { status: 201, headers }) as never
        )
      )
    )
    .handle("getDevice", ({ params }) => inTenant(Effect.map(getDevice(params.id), deviceView)))
    .handle("changeDevice", ({ params, payload }) => inTenant(Effect.map(changeDevice(params.id, payload), deviceView)))
    .handle("listCredentials", ({ params }) =>
      inTenant(Effect.map(listCredentials(params.id), (items) => ({ items: items.map(credentialView) })))
    )
    .handle("addCredential", ({ params, payload: { validUntil, ...request } }) =>
      inTenant(
        Effect.map(
          addCredential(params.id, {
            ...request,
            ...(validUntil === undefined ? {} : { validUntil: new Date(validUntil) })
          }),
          credentialView
        )
      )
    )
    .handle("revokeCredential", ({ params }) => inTenant(revokeCredential(params.id, params.credential)))
)

const commandView = (command: StoredCommand) => ({
  ...command,
  createdAt: command.createdAt.toISOString(),
  changedAt: command.changedAt.toISOString(),
  expiresAt: command.expiresAt.toISOString()
})

const commandHandlers = HttpApiBuilder.group(TelemetryApi, "deviceCommands", (handlers) =>
  handlers
    .handle("listCommands", ({ params, query }) =>
      inTenant(
        Effect.map(listCommands(params.id, query), ({ items, ...rest }) => ({ items: items.map(commandView), ...rest }))
      )
    )
    .handle("sendCommand", ({ params, payload }) =>
      inTenant(
        Effect.map(
          once(
            `devices/${params.id}/commands`,
            payload,
            Effect.map(sendCommand(params.id, { params: null, ...payload }), (command) => ({
              status: 201,
              body: commandView(command)
            }))
          ),
          ({ body, headers }) => created(`/v1/devices/${params.id}/commands`, body, headers)
        )
      )
    )
    .handle("getCommand", ({ params }) => inTenant(Effect.map(getCommand(params.id, params.command), commandView)))
)

const provisioningView = <P extends StoredProvisioning>(provisioning: P) => ({
  ...provisioning,
  validUntil: text(provisioning.validUntil)
})

const provisioningHandlers = HttpApiBuilder.group(TelemetryApi, "deviceProvisioning", (handlers) =>
  handlers
    .handle("listProvisionings", () =>
      inTenant(Effect.map(listProvisionings, (items) => ({ items: items.map(provisioningView) })))
    )
    .handle("createProvisioning", ({ payload: { validUntil, ...request } }) =>
      inTenant(
        Effect.map(
          createProvisioning({
            ...request,
            ...(validUntil === undefined ? {} : { validUntil: new Date(validUntil) })
          }),
          provisioningView
        )
      )
    )
    .handle("revokeProvisioning", ({ params }) => inTenant(revokeProvisioning(params.id)))
)

export const telemetryApiLayer = HttpApiBuilder.layer(TelemetryApi).pipe(
  Layer.provide(
    Layer.mergeAll(
      profileHandlers,
      deviceHandlers,
      commandHandlers,
      readingsHandlers,
      rulesHandlers,
      anomaliesHandlers,
      provisioningHandlers,
      zonesHandlers
    )
  )
)
