/** Doors to rotas and escalation ladders. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { Door } from "../../kernel/http/Door.ts"
import { GivenDay, GivenMoment } from "../../kernel/http/moments.ts"
import { takesIdempotencyKey } from "../../kernel/http/once.ts"
import { Id } from "../../kernel/ids.ts"
import { severities } from "./model.ts"

const Name = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(100))
const Clock = Schema.String.check(Schema.isPattern(/^([01]\d|2[0-3]):[0-5]\d$/)).annotate({
  description: "`HH:MM` in the city's time zone"
})
const Moment = Schema.String.annotate({ format: "date-time", description: "RFC 3339, UTC" })
const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const IdParam = { id: Id }

const rota = {
  name: Name,
  shifts: Schema.Array(
    Schema.Struct({
      /** The first layer, counted from 0, that has a shift at a moment answers for it. */
      layer: between(0, 9),
      /** ISO weekdays on which it begins, 1 is Monday. */
      days: Schema.Array(between(1, 7)).check(Schema.isMinLength(1), Schema.isUnique()),
      from: Clock,
      /** On the next day where it is not after `from`. */
      to: Clock,
      personId: Id
    })
  ).check(Schema.isMaxLength(500))
}
const Rotations = Schema.Array(
  Schema.Struct({
    /** As of a shift. */
    layer: between(0, 9),
    /** In the order of their turns. Null where somebody is gone: the next one takes their turns, and the others keep their weeks. */
    members: Schema.Array(Schema.NullOr(Id)).check(Schema.isMinLength(1), Schema.isMaxLength(100)),
    /** The day of the first handover; the others are on the same weekday. Before it nobody of these is on call. */
    begins: GivenDay,
    handover: Clock,
    /** How long a turn is. */
    weeks: between(1, 52)
  })
)
const GivenRota = Schema.Struct({
  ...rota,
  /** People who take turns of whole weeks. Default: none. */
  rotations: Schema.optionalKey(Rotations.check(Schema.isMaxLength(20)))
})
const RotaView = Schema.Struct({ id: Id, ...rota, rotations: Rotations, version: Schema.Int }).annotate({
  identifier: "Rota"
})

const OverrideView = Schema.Struct({ id: Id, from: Moment, until: Moment, personId: Id }).annotate({
  identifier: "RotaOverride"
})

const Step = Schema.Struct({
  /** Minutes without an acknowledgement. */
  after: between(0, 10_080),
  rotaId: Schema.optionalKey(Id),
  role: Schema.optionalKey(Name),
  personId: Schema.optionalKey(Id)
})

const ladder = {
  name: Name,
  severities: Schema.Array(Schema.Literals(severities)).check(Schema.isMinLength(1), Schema.isUnique()),
  /** Of alerts there and below; an alert takes the ladder of the nearest territory. */
  territoryId: Schema.optionalKey(Schema.NullOr(Id)),
  steps: Schema.Array(Step).check(Schema.isMinLength(1), Schema.isMaxLength(20)),
  /** The whole again, so many minutes after it last began. */
  repeat: Schema.optionalKey(Schema.Struct({ every: between(1, 20_160), times: between(1, 100) }))
}
const GivenLadder = Schema.Struct(ladder)
const LadderView = Schema.Struct({
  id: Id,
  ...ladder,
  // A step may have gone with the person it named.
  steps: Schema.Array(Step),
  version: Schema.Int
}).annotate({ identifier: "Ladder" })

export const rotasGroup = HttpApiGroup.make("rotas")
  .add(
    HttpApiEndpoint.get("listRotas", "/rotas", { success: Schema.Struct({ items: Schema.Array(RotaView) }) }),
    HttpApiEndpoint.post("createRota", "/rotas", {
      payload: GivenRota,
      success: RotaView.pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.get("getRota", "/rotas/:id", { params: IdParam, success: RotaView }),
    HttpApiEndpoint.put("replaceRota", "/rotas/:id", { params: IdParam, payload: GivenRota, success: RotaView }),
    HttpApiEndpoint.delete("removeRota", "/rotas/:id", { params: IdParam, success: HttpApiSchema.NoContent }),
    HttpApiEndpoint.get("onCall", "/rotas/:id/on-call", {
      params: IdParam,
      /** Default: now. */
      query: { at: Schema.optionalKey(GivenMoment) },
      success: Schema.Struct({ at: Moment, people: Schema.Array(Id) })
    }),
    HttpApiEndpoint.get("listOverrides", "/rotas/:id/overrides", {
      params: IdParam,
      success: Schema.Struct({ items: Schema.Array(OverrideView) })
    }),
    HttpApiEndpoint.post("addOverride", "/rotas/:id/overrides", {
      params: IdParam,
      payload: Schema.Struct({ from: GivenMoment, until: GivenMoment, personId: Id }),
      success: OverrideView.pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.delete("removeOverride", "/rotas/:id/overrides/:override", {
      params: { id: Id, override: Id },
      success: HttpApiSchema.NoContent
    })
  )
  .middleware(Door)

export const laddersGroup = HttpApiGroup.make("ladders")
  .add(
    HttpApiEndpoint.get("listLadders", "/ladders", { success: Schema.Struct({ items: Schema.Array(LadderView) }) }),
    HttpApiEndpoint.post("createLadder", "/ladders", {
      payload: GivenLadder,
      success: LadderView.pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.get("getLadder", "/ladders/:id", { params: IdParam, success: LadderView }),
    HttpApiEndpoint.put("replaceLadder", "/ladders/:id", {
      params: IdParam,
      payload: GivenLadder,
      success: LadderView
    }),
    HttpApiEndpoint.delete("removeLadder", "/ladders/:id", { params: IdParam, success: HttpApiSchema.NoContent })
  )
  .middleware(Door)
