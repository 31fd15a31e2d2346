/**
 * A module as somebody outside would write it: a case type with a guard and an `apply`, and a table of its own.
 */
import { defineCaseType, defineModule, migration, Refused, TenantTx, type Module } from "@mahalla/core/module"
import * as Effect from "effect/Effect"

const pothole = defineCaseType({
  definition: {
    id: "pothole",
    version: 1,
    title: { en: "Pothole" },
    data: {
      properties: { depth: { type: "integer", minimum: 1, maximum: 200, visibility: "public" } },
      required: ["depth"]
    },
    place: "required",
    anonymous: true,
    public: true,
    attachments: { min: 0, max: 3 },
    creatable: true,
    initial: "open",
    states: {
      open: { title: { en: "Open" }, phase: "open" },
      fixed: { title: { en: "Fixed" }, phase: "fixed" }
    },
    transitions: {
      fix: {
        title: { en: "Fix" },
        from: ["open"],
        to: ["fixed"],
        event: "fixed",
        guards: ["notTooDeep"],
        apply: "countAsphalt"
      }
    }
  },
  guards: {
    notTooDeep: ({ case: record }) =>
      Number(record.data["depth"]) < 100
        ? Effect.void
        : Effect.fail(new Refused({ code: "too-deep", message: "It needs a crew; hand it to the roads department." }))
  },
  applies: {
    countAsphalt: Effect.fn("countAsphalt")(function* ({ case: record }) {
      const { sql, tenantId } = yield* TenantTx
      const buckets = Math.ceil(Number(record.data["depth"]) / 10)
      yield* sql`insert into mahalla.asphalt (tenant_id, case_id, buckets) values (${tenantId}, ${record.id}, ${buckets})`
      return {}
    })
  }
})

/** Buckets used in the tenant so far. */
export const asphaltUsed = Effect.gen(function* () {
  const { sql } = yield* TenantTx
  const [row] = yield* sql<{
    readonly buckets: number
  }>`select coalesce(sum(buckets), 0)::int as buckets from mahalla.asphalt`
  return row?.buckets ?? 0
})

export const potholes = (): Module =>
  defineModule({
    id: "potholes",
    caseTypes: [pothole],
    migrations: [
      migration(
        "potholes",
        "0001_asphalt.sql",
        `create table mahalla.asphalt (
           tenant_id uuid not null references mahalla.tenant,
           case_id uuid not null,
           buckets int not null,
           primary key (tenant_id, case_id)
         );
         select mahalla.protect('mahalla.asphalt', 'select, insert');`
      )
    ]
  })
