/** Doors of the control room beside what its case types bring along. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { Door } from "../../kernel/http/Door.ts"
import { GivenMoment } from "../../kernel/http/moments.ts"
import { takesIdempotencyKey } from "../../kernel/http/once.ts"
import { Problem } from "../../kernel/http/problems.ts"
import { Id } from "../../kernel/ids.ts"
import { openStates, severities, workKinds } from "./model.ts"
import { laddersGroup, rotasGroup } from "./rotasApi.ts"

const Timestamp = Schema.String.annotate({ format: "date-time", description: "RFC 3339, UTC" })
const Json = Schema.Record(Schema.String, Schema.Unknown)
const Place = Schema.Struct({
  longitude: Schema.Finite.check(Schema.isBetween({ minimum: -180, maximum: 180 })),
  latitude: Schema.Finite.check(Schema.isBetween({ minimum: -90, maximum: 90 }))
}).annotate({ description: "WGS84 degrees" })
const Severity = Schema.Literals(severities)
const Status = Schema.Literals(["ACTIVE_UNACK", "ACTIVE_ACK", "CLEARED_UNACK", "CLEARED_ACK"])
const Flag = Schema.Literals(["true", "false"])
const IdParam = { id: Id }
const pageQuery = {
  cursor: Schema.optionalKey(Id),
  limit: Schema.optionalKey(
    Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 200 }))
  )
}
const page = <S extends Schema.Top>(item: S) =>
  Schema.Struct({ items: Schema.Array(item), cursor: Schema.optionalKey(Id) })

/** `a,b` in a query. */
const listOf = (words: ReadonlyArray<string>) =>
  Schema.String.check(Schema.isPattern(new RegExp(`^(${words.join("|")})(,(${words.join("|")}))*$`))).annotate({
    description: `A comma between: ${words.join(", ")}`
  })

const AlertView = Schema.Struct({
  id: Id,
  reference: Schema.String,
  state: Schema.String,
  phase: Schema.String,
  /**
   * As the case has it, with `endedAt`, `times` and `details` as they are now, and `quietSince` of one that comes and goes: since when its
   * condition does not hold.
   */
  data: Json,
  place: Schema.NullOr(Place),
  territoryId: Schema.NullOr(Id),
  assigneeId: Schema.NullOr(Id),
  /** Of an asset's list: whether it happened there, and was not passed on to it. */
  own: Schema.NullOr(Schema.Boolean),
  version: Schema.Int,
  createdAt: Timestamp,
  updatedAt: Timestamp
}).annotate({ identifier: "Alert" })

const AlertCount = Schema.Struct({
  territoryId: Schema.NullOr(Id),
  severity: Severity,
  state: Schema.String,
  status: Status,
  amount: Schema.Int
}).annotate({ identifier: "AlertCount" })

/** A case that was made; the rest is at its own address. */
const NewCase = Schema.Struct({
  id: Id,
  type: Schema.String,
  reference: Schema.String,
  state: Schema.String,
  version: Schema.Int
}).annotate({ identifier: "NewCase" })

const Names = Schema.Array(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(100))).check(
  Schema.isMaxLength(1000)
)
const Ids = Schema.Array(Id).check(Schema.isMaxLength(1000))

const WindowView = Schema.Struct({
  id: Id,
  from: Timestamp,
  until: Timestamp,
  reason: Schema.String,
  devices: Schema.Array(Id),
  assets: Schema.Array(Id),
  territories: Schema.Array(Id),
  rules: Schema.Array(Schema.String),
  createdBy: Schema.NullOr(Id),
  version: Schema.Int
}).annotate({ identifier: "MaintenanceWindow" })

const LogView = Schema.Struct({
  id: Id,
  at: Timestamp,
  by: Schema.NullOr(Id),
  kind: Schema.Literals(workKinds),
  what: Schema.String,
  parts: Schema.Array(Json),
  workOrderId: Schema.NullOr(Id),
  /** Minor units, as text: sums outgrow the numbers of some languages. */
  cost: Schema.NullOr(Schema.String)
}).annotate({ identifier: "MaintenanceLogEntry" })

const created = <S extends Schema.Top>(view: S) => view.pipe(HttpApiSchema.status(201))

const alertsGroup = HttpApiGroup.make("alerts")
  .add(
    HttpApiEndpoint.get("listAlerts", "/alerts", {
      query: {
        ...pageQuery,
        state: Schema.optionalKey(listOf([...openStates, "closed"])),
        severity: Schema.optionalKey(listOf(severities)),
        /** Whether the condition holds. */
        active: Schema.optionalKey(Flag),
        acknowledged: Schema.optionalKey(Flag),
        rule: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(100))),
        originator: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(100))),
        /** On this asset, or passed on to it. */
        asset: Schema.optionalKey(Id),
        territory: Schema.optionalKey(Id)
      },
      success: page(AlertView)
    }),
    HttpApiEndpoint.get("alertSummary", "/alerts/summary", {
      success: Schema.Struct({ items: Schema.Array(AlertCount) })
    }),
    HttpApiEndpoint.post("acknowledgeAlerts", "/alerts/acknowledgements", {
      payload: Schema.Struct({ ids: Schema.Array(Id).check(Schema.isMinLength(1), Schema.isMaxLength(500)) }),
      success: Schema.Struct({
        items: Schema.Array(
          Schema.Struct({
            id: Id,
            /** Absent where it was acknowledged now. */
            problem: Schema.optionalKey(
              Schema.Struct({ ...Problem.fields, requestId: Schema.optionalKey(Schema.String) })
            )
          })
        )
      })
    }).annotate(OpenApi.Transform, takesIdempotencyKey)
  )
  .middleware(Door)

const workGroup = HttpApiGroup.make("controlRoomWork")
  .add(
    HttpApiEndpoint.post("createIncident", "/incidents", {
      payload: Schema.Struct({
        title: Schema.String.check(Schema.isMinLength(3), Schema.isMaxLength(200)),
        alerts: Schema.optionalKey(Schema.Array(Id).check(Schema.isMaxLength(100))),
        /** Without alerts; with them it is the worst of theirs. */
        severity: Schema.optionalKey(Severity),
        /** The incident's assignee. */
        commanderId: Schema.optionalKey(Id),
        place: Schema.optionalKey(Place)
      }),
      success: created(NewCase)
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.post("linkAlerts", "/incidents/:id/alerts", {
      params: IdParam,
      payload: Schema.Struct({ alerts: Schema.Array(Id).check(Schema.isMinLength(1), Schema.isMaxLength(100)) }),
      success: HttpApiSchema.NoContent
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.post("createWorkOrder", "/work-orders", {
      payload: Schema.Struct({
        /** As the case type `work-order` has it. */
        data: Json,
        /** The alert or incident that it comes from. */
        parentId: Schema.optionalKey(Id),
        assigneeId: Schema.optionalKey(Id),
        /** Default: where that is. */
        place: Schema.optionalKey(Place)
      }),
      success: created(NewCase)
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.get("maintenanceLog", "/assets/:id/maintenance-log", {
      params: IdParam,
      query: pageQuery,
      success: page(LogView)
    })
  )
  .middleware(Door)

const windowsGroup = HttpApiGroup.make("maintenanceWindows")
  .add(
    HttpApiEndpoint.get("listWindows", "/maintenance-windows", {
      query: {
        ...pageQuery,
        /** Those that hold now or later. */
        active: Schema.optionalKey(Schema.Literal("true"))
      },
      success: page(WindowView)
    }),
    HttpApiEndpoint.post("createWindow", "/maintenance-windows", {
      payload: Schema.Struct({
        /** Default: now. */
        from: Schema.optionalKey(GivenMoment),
        until: GivenMoment,
        reason: Schema.String.check(Schema.isMinLength(3), Schema.isMaxLength(500)),
        /** Alerts of any of these, on any of these, in any of these. */
        devices: Schema.optionalKey(Ids),
        assets: Schema.optionalKey(Ids),
        territories: Schema.optionalKey(Ids),
        /** Of these rules only. */
        rules: Schema.optionalKey(Names)
      }),
      success: created(WindowView)
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.get("getWindow", "/maintenance-windows/:id", { params: IdParam, success: WindowView }),
    HttpApiEndpoint.patch("moveWindow", "/maintenance-windows/:id", {
      params: IdParam,
      payload: Schema.Struct({ until: GivenMoment }),
      success: WindowView
    }),
    // It is over from now on, and stays in the list.
    HttpApiEndpoint.delete("endWindow", "/maintenance-windows/:id", {
      params: IdParam,
      success: HttpApiSchema.NoContent
    })
  )
  .middleware(Door)

export const ControlRoomApi = cityApi("control-room")
  .add(alertsGroup)
  .add(workGroup)
  .add(windowsGroup)
  .add(rotasGroup)
  .add(laddersGroup)
  .prefix("/v1")
