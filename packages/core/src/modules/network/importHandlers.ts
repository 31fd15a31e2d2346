/** Answers at the doors of imports. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as ByteSize from "effect/ByteSize"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { answering, inTenant } from "../../kernel/http/Door.ts"
import { problem, registerProblems } from "../../kernel/http/problems.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { NetworkApi } from "./api.ts"
import { listImports, loadImport, takeImport } from "./importJobs.ts"
import { maxFile } from "./readFile.ts"
import { transformOf } from "./transform.ts"
import { importView } from "./views.ts"

class FileNotReceived extends Data.TaggedError("NetworkFileNotReceived") {}
registerProblems({
  NetworkFileNotReceived: () =>
    problem(413, "too-large", `The file is larger than ${maxFile / 1024 / 1024} MiB, came too slowly, or broke off.`)
})

/** A file is given minutes, where other bodies have seconds. */
const bytesOf = (request: HttpServerRequest) =>
  // JSON has been read and checked before it comes here.
  (/^application\/(?:[a-z.+-]+\+)?json\b/i.test(request.headers["content-type"] ?? "")
    ? Effect.map(request.text, (text) => Buffer.from(text))
    : Effect.map(request.arrayBuffer, (buffer) => new Uint8Array(buffer))
  ).pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.fromInputUnsafe(maxFile)),
    Effect.timeout("5 minutes"),
    Effect.mapError(() => new FileNotReceived())
  )

export const importsHandlers = HttpApiBuilder.group(NetworkApi, "networkImports", (group) =>
  group
    .handleRaw("importNetwork", ({ query, request }) =>
      answering(
        Effect.gen(function* () {
          yield* demandEverywhere("network.import")
          const transform = transformOf(query)
          if (transform instanceof InvalidInput) return yield* transform
          const bytes = yield* bytesOf(request)
          const { dryRun, format, network, tolerance } = query
          const row = yield* inTenant(
            takeImport({ network, format, transform, tolerance, dryRun: dryRun === "true" }, bytes)
          )
          return HttpServerResponse.jsonUnsafe(importView(row), {
            status: row.state === "done" ? 201 : 202,
            headers: { location: `/v1/network-imports/${row.id}` }
          })
        })
      )
    )
    .handle("listNetworkImports", ({ query }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("network.import")
          const limit = query.limit ?? 50
          const rows = yield* listImports(query.cursor ?? null, limit + 1)
          const items = rows.slice(0, limit).map(importView)
          return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.id } : {}) }
        })
      )
    )
    .handle("getNetworkImport", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("network.import")
          return importView(yield* loadImport(params.id))
        })
      )
    )
)
