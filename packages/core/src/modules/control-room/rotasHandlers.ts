/** What stands behind the doors to rotas and ladders. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { versionAsked } from "../../kernel/http/asked.ts"
import { inTenant } from "../../kernel/http/Door.ts"
import { once } from "../../kernel/http/once.ts"
import { ControlRoomApi } from "./api.ts"
import { answerOf } from "./handlers.ts"
import { createLadder, getLadder, listLadders, removeLadder, replaceLadder } from "./ladders.ts"
import {
  addOverride,
  createRota,
  getRota,
  listOverrides,
  listRotas,
  onCallNow,
  removeOverride,
  removeRota,
  replaceRota,
  type StoredOverride
} from "./rotas.ts"

/** The answer of a door that makes something with an address of its own. */
const made = <A extends { readonly id: string; readonly version: number }, E, R>(
  route: string,
  payload: unknown,
  make: Effect.Effect<A, E, R>
) =>
  Effect.map(
    once(
      route,
      payload,
      Effect.map(make, (body) => ({ status: 201, body }))
    ),
    ({ body, headers, status }) => answerOf(body, status, { ...headers, location: `/v1/${route}/${body.id}` })
  )

const asked = Effect.flatMap(HttpServerRequest.HttpServerRequest, versionAsked)

const overrideView = ({ from, until, ...override }: StoredOverride) => ({
  ...override,
  from: from.toISOString(),
  until: until.toISOString()
})

export const rotasHandlers = HttpApiBuilder.group(ControlRoomApi, "rotas", (handlers) =>
  handlers
    .handle("listRotas", () => inTenant(Effect.map(listRotas, (items) => ({ items }))))
    .handle("createRota", ({ payload }) => inTenant(made("rotas", payload, createRota(payload))))
    .handle("getRota", ({ params }) => inTenant(Effect.map(getRota(params.id), (rota) => answerOf(rota))))
    .handle("replaceRota", ({ params, payload }) =>
      inTenant(
        Effect.flatMap(asked, (ifVersion) =>
          Effect.map(replaceRota(params.id, payload, ifVersion), (rota) => answerOf(rota))
        )
      )
    )
    .handle("removeRota", ({ params }) =>
      inTenant(Effect.flatMap(asked, (ifVersion) => removeRota(params.id, ifVersion)))
    )
    .handle("onCall", ({ params, query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* getRota(params.id)
          const at = query.at === undefined ? new Date(yield* Clock.currentTimeMillis) : new Date(query.at)
          return { at: at.toISOString(), people: yield* onCallNow(params.id, at) }
        })
      )
    )
    .handle("listOverrides", ({ params }) =>
      inTenant(Effect.map(listOverrides(params.id), (items) => ({ items: items.map(overrideView) })))
    )
    .handle("addOverride", ({ params, payload }) =>
      inTenant(
        Effect.gen(function* () {
          const given = { ...payload, from: new Date(payload.from), until: new Date(payload.until) }
          const add = Effect.map(addOverride(params.id, given), (body) => ({ status: 201, body: overrideView(body) }))
          return (yield* once(`rotas/${params.id}/overrides`, payload, add)).body
        })
      )
    )
    .handle("removeOverride", ({ params }) => inTenant(removeOverride(params.id, params.override)))
)

export const laddersHandlers = HttpApiBuilder.group(ControlRoomApi, "ladders", (handlers) =>
  handlers
    .handle("listLadders", () => inTenant(Effect.map(listLadders, (items) => ({ items }))))
    .handle("createLadder", ({ payload }) => inTenant(made("ladders", payload, createLadder(payload))))
    .handle("getLadder", ({ params }) => inTenant(Effect.map(getLadder(params.id), (ladder) => answerOf(ladder))))
    .handle("replaceLadder", ({ params, payload }) =>
      inTenant(
        Effect.flatMap(asked, (ifVersion) =>
          Effect.map(replaceLadder(params.id, payload, ifVersion), (ladder) => answerOf(ladder))
        )
      )
    )
    .handle("removeLadder", ({ params }) =>
      inTenant(Effect.flatMap(asked, (ifVersion) => removeLadder(params.id, ifVersion)))
    )
)
