/** What stands behind the platform's doors. */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { AccessTokens } from "../../kernel/http/tokens.ts"
import { answering } from "../../kernel/http/Door.ts"
import { inPlatform, PlatformSession } from "../../kernel/http/PlatformDoor.ts"
import { blockAdmin, listPlatformAdmins, type PlatformAdmin, signOutAdmin } from "../../kernel/platform/admins.ts"
import {
  closeAccess,
  foundCity,
  listCities,
  openAccess,
  readFigures,
  renewAccess,
  setSuspended
} from "../../kernel/platform/cities.ts"
import { readPlatformLog } from "../../kernel/platform/operations.ts"
import { beginPlatformTotp, showPlatformTotp, usePlatformLink } from "../../kernel/platform/sessions.ts"
import { PlatformApi } from "./platformApi.ts"

export const platformSessionHandlers = HttpApiBuilder.group(PlatformApi, "platformSession", (handlers) =>
  handlers.handle("platformSignIn", ({ payload }) => inPlatform(usePlatformLink(payload.token)))
)

export const platformFactorsHandlers = HttpApiBuilder.group(PlatformApi, "platformFactors", (handlers) =>
  handlers
    .handle("showPlatformFactor", ({ payload }) =>
      answering(Effect.flatMap(PlatformSession, (session) => showPlatformTotp(session, payload.code, true)))
    )
    .handle("beginPlatformTotp", () => inPlatform(Effect.flatMap(PlatformSession, beginPlatformTotp)))
    .handle("confirmPlatformTotp", ({ payload }) =>
      answering(Effect.flatMap(PlatformSession, (session) => showPlatformTotp(session, payload.code, false)))
    )
)

const adminView = ({ createdAt, ...admin }: PlatformAdmin) => ({ ...admin, createdAt: createdAt.toISOString() })

/** With a token of the city for the member of staff that the access acts as. */
const withToken = Effect.fnUntraced(function* (access: {
  readonly tenantId: string
  readonly principalId: string
  readonly until: string
}) {
  const { expiresIn, token } = yield* (yield* AccessTokens).issue(access)
  return { ...access, accessToken: token, tokenType: "Bearer" as const, expiresIn }
})

export const platformHandlers = HttpApiBuilder.group(PlatformApi, "platform", (handlers) =>
  handlers
    .handle("cities", () => inPlatform(Effect.map(listCities, (items) => ({ items }))))
    .handle("foundCity", ({ payload }) => inPlatform(foundCity(payload)))
    .handle("suspendCity", ({ params, payload }) => inPlatform(setSuspended(params.slug, true, payload.reason)))
    .handle("resumeCity", ({ params, payload }) => inPlatform(setSuspended(params.slug, false, payload.reason)))
    .handle("openAccess", ({ params, payload }) =>
      inPlatform(Effect.flatMap(openAccess(params.slug, payload.reason, payload.until), withToken))
    )
    .handle("renewAccess", ({ params }) =>
      inPlatform(Effect.flatMap(renewAccess(params.slug, params.access), withToken))
    )
    .handle("closeAccess", ({ params }) => inPlatform(closeAccess(params.slug, params.access)))
    .handle("platformAdmins", () =>
      inPlatform(Effect.map(listPlatformAdmins, (admins) => ({ items: admins.map(adminView) })))
    )
    .handle("blockAdmin", ({ params, payload }) =>
      inPlatform(Effect.map(blockAdmin(params.admin, payload.reason), adminView))
    )
    .handle("signOutAdmin", ({ params, payload }) => inPlatform(signOutAdmin(params.admin, payload.reason)))
    .handle("figures", () => inPlatform(Effect.map(readFigures, (items) => ({ items }))))
    .handle("platformLog", ({ query }) =>
      inPlatform(
        readPlatformLog({
          limit: query.limit,
          before: query.cursor === undefined ? undefined : Number(query.cursor)
        })
      )
    )
)
