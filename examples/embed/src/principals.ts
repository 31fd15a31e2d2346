/** Who of the app's people the city has met. */
import { TenantTx } from "@mahalla/core/module"
import * as Effect from "effect/Effect"

export const externalIds = Effect.flatMap(TenantTx, ({ sql }) =>
  Effect.map(
    sql<{ id: string }>`select external_id as id from mahalla.principal where external_id is not null order by 1`,
    (rows) => rows.map((row) => row.id)
  )
)
