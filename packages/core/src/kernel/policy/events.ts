/** What happens to people and their roles. */
import * as Schema from "effect/Schema"
import { defineEvent } from "../events/Event.ts"

export const StaffCreated = defineEvent({
  id: "principal.staff-created",
  payload: Schema.Struct({ principalId: Schema.String, name: Schema.String }),
  personal: ["name"]
})

export const RoleGranted = defineEvent({
  id: "principal.role-granted",
  payload: Schema.Struct({
    principalId: Schema.String,
    role: Schema.String,
    territoryId: Schema.NullOr(Schema.String),
    until: Schema.NullOr(Schema.String)
  })
})

export const RoleRevoked = defineEvent({
  id: "principal.role-revoked",
  payload: Schema.Struct({ principalId: Schema.String, role: Schema.String, territoryId: Schema.NullOr(Schema.String) })
})
