/** What happens to checkpoints and staff must hear of. */
import * as Schema from "effect/Schema"
import { defineEvent } from "../events/Event.ts"

/** A checkpoint contradicts what is outside, or somebody outside does not take it. */
export const CheckpointRefused = defineEvent({
  id: "audit.checkpoint-refused",
  payload: Schema.Struct({
    /** The folder, or a host. */
    where: Schema.String,
    detail: Schema.String
  })
})
