/**
 * Decisions of the city filed with government systems: handed in under a number of ours, asked about until they are decided there, through
 * days of outage. Use it wherever what the city decides counts only when an authority has said so. Without a plugin that is an authority it
 * does nothing.
 */
import * as Layer from "effect/Layer"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { readMigration } from "../../kernel/db/Migration.ts"
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { FilingsApi } from "./api.ts"
import { layerFilingAuthorities } from "./FilingAuthorities.ts"
import { filingsHandlers } from "./handlers.ts"
import {
  EvidenceOpened,
  EvidenceRevoked,
  FilingDecided,
  FilingFiled,
  FilingQueued,
  FilingRefused,
  FilingUnknown
} from "./model.ts"
import { workQueues } from "./queue.ts"
import { sealedFilings } from "./sealed.ts"

export { type DecisionToFile, fileDecision } from "./file.ts"
export { FilingDecided } from "./model.ts"

export const filings = (): Module =>
  defineModule({
    id: "filings",
    events: [FilingQueued, FilingFiled, FilingUnknown, FilingDecided, FilingRefused, EvidenceOpened, EvidenceRevoked],
    permissions: ["filing.read", "filing.settle"],
    migrations: [readMigration("filings", new URL("./migrations/0001_filings.sql", import.meta.url))],
    sealed: [sealedFilings],
    layer: layerFilingAuthorities,
    works: [workQueues],
    api: { definition: FilingsApi, layer: HttpApiBuilder.layer(FilingsApi).pipe(Layer.provide(filingsHandlers)) }
  })
