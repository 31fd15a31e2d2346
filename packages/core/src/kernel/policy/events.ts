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

const RoleContent = Schema.Struct({
  role: Schema.String,
  title: Schema.String,
  permissions: Schema.Array(Schema.String)
})

export const RoleCreated = defineEvent({ id: "role.created", payload: RoleContent })
export const RoleChanged = defineEvent({ id: "role.changed", payload: RoleContent })
/** Gone, or as the deployment has it again. */
export const RoleRemoved = defineEvent({ id: "role.removed", payload: Schema.Struct({ role: Schema.String }) })

export const RoleDelegated = defineEvent({
  id: "principal.role-delegated",
  payload: Schema.Struct({
    delegationId: Schema.String,
    giverId: Schema.String,
    principalId: Schema.String,
    role: Schema.String,
    permissions: Schema.NullOr(Schema.Array(Schema.String)),
    territoryId: Schema.NullOr(Schema.String),
    /** It ends by itself then, without another event. */
    until: Schema.String
  })
})

export const DelegationEnded = defineEvent({
  id: "principal.delegation-ended",
  payload: Schema.Struct({
    delegationId: Schema.String,
    giverId: Schema.String,
    principalId: Schema.String,
    role: Schema.String,
    because: Schema.Literals(["revoked", "role-lost"])
  })
})
