/** The first step of everything that is done to a case by somebody: it is there, and they may know of it. */
import * as Effect from "effect/Effect"
import { loadCase } from "./record.ts"
import { CaseTypes } from "./registry.ts"
import { demandVisible } from "./view.ts"

/** A case with its type, or `NotFound`; `lock` keeps it for this transaction. */
export const visibleCase = Effect.fnUntraced(function* (id: string, options: { readonly lock?: boolean } = {}) {
  const record = yield* loadCase(id, options)
  const type = yield* (yield* CaseTypes).get(record.type)
  yield* demandVisible(record, type.definition)
  return { record, type, definition: type.definition }
})
