/** What stands behind the doors to cases. */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { createCase } from "../../kernel/cases/create.ts"
import type { CaseTypeDefinition } from "../../kernel/cases/CaseType.ts"
import type { BoundingBox } from "../../kernel/cases/geo.ts"
import { type CaseFilter, listCases } from "../../kernel/cases/list.ts"
import { type CaseRecord, InvalidInput, NotFound } from "../../kernel/cases/model.ts"
import { loadCase } from "../../kernel/cases/record.ts"
import { CaseTypes } from "../../kernel/cases/registry.ts"
import { possibleTransitions, transitionCase } from "../../kernel/cases/transition.ts"
import { audienceOf, demandVisible, viewOf } from "../../kernel/cases/view.ts"
import { boxAsked, versionAsked } from "../../kernel/http/asked.ts"
import { answering, inTenant } from "../../kernel/http/Door.ts"
import { once, onceShared } from "../../kernel/http/once.ts"
import { limitAnonymous, limitReads } from "../../kernel/limits/address.ts"
import { CasesApi } from "./casesApi.ts"
import { csvOf } from "./csv.ts"
import { commaList, isMoment } from "../../kernel/http/schemas.ts"
import type { Erased } from "../../kernel/Erased.ts"

const issue = (pointer: string, detail: string) => new InvalidInput({ issues: [{ pointer, detail }] })

/** The case of an address; another type in the address is not found. */
export const caseAt = Effect.fnUntraced(function* (
  params: { readonly type: string; readonly id: string },
  lock = false
) {
  const record = yield* loadCase(params.id, { lock })
  if (record.type !== params.type) return yield* new NotFound({ what: params.type, id: params.id })
  const type = yield* (yield* CaseTypes).get(record.type)
  yield* demandVisible(record, type.definition)
  return { record, definition: type.definition }
})

/** A case as the actor may see it, with what they could do. */
export const viewFor = Effect.fnUntraced(function* (record: CaseRecord) {
  const type = yield* (yield* CaseTypes).get(record.type)
  const audience = yield* audienceOf(record)
  const possible = yield* possibleTransitions(record, type)
  return { ...viewOf(record, type.definition, audience), possible }
})

const etag = (version: number) => `"${version}"`

const parseMoment = (text: string | undefined, name: string): Date | undefined | InvalidInput => {
  if (text === undefined) return undefined
  const moment = new Date(text)
  return !isMoment(text) ? issue(`#query/${name}`, "Give an RFC 3339 time, as 2026-11-20T08:00:00Z.") : moment
}

type ListQuery = { readonly [name: string]: Erased }

const filterOf = Effect.fnUntraced(function* (query: ListQuery) {
  const parts = {
    bbox: query["bbox"] === undefined ? undefined : boxAsked(query["bbox"]),
    createdAfter: parseMoment(query["createdAfter"], "createdAfter"),
    createdBefore: parseMoment(query["createdBefore"], "createdBefore")
  }
  for (const part of Object.values(parts)) if (part instanceof InvalidInput) return yield* part
  const filter: CaseFilter = {
    ...(parts as { bbox: BoundingBox | undefined; createdAfter: Date | undefined; createdBefore: Date | undefined }),
    type: commaList(query["type"]),
    state: commaList(query["state"]),
    phase: query["phase"],
    territory: query["territory"],
    q: query["q"],
    owner: query["owner"],
    assignee: query["assignee"],
    parent: query["parent"]
  }
  return filter
})

const caseAnswer = (answer: {
  readonly status: number
  readonly body: Erased
  readonly headers?: Record<string, string>
}) =>
  HttpServerResponse.jsonUnsafe(answer.body, {
    status: answer.status,
    headers: {
      ...answer.headers,
      etag: etag(answer.body.version),
      ...(answer.status === 201 ? { location: `/v1/cases/${answer.body.type}/${answer.body.id}` } : {})
    }
  }) as never

export const casesHandlers = HttpApiBuilder.group(CasesApi, "cases", (handlers) =>
  handlers
    .handle("createCase", ({ params, payload }) => {
      const create = Effect.flatMap(createCase({ data: {}, ...payload, type: params.type }), viewFor)
      return answering(limitAnonymous("case")).pipe(
        Effect.andThen(
          answering(
            onceShared(
              `cases/${params.type}`,
              payload,
              Effect.map(create, (body) => ({ status: 201, body }))
            )
          )
        ),
        Effect.map(caseAnswer)
      )
    })
    .handle("getCase", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          const { record } = yield* caseAt(params)
          return caseAnswer({ status: 200, body: yield* viewFor(record) })
        })
      )
    )
    .handle("transitionCase", ({ params, payload, request }) =>
      inTenant(
        Effect.gen(function* () {
          const ifVersion = yield* versionAsked(request)
          yield* caseAt(params)
          const run = transitionCase({ caseId: params.id, transition: params.transition, input: payload, ifVersion })
          return yield* once(
            `cases/${params.id}/${params.transition}`,
            payload,
            Effect.map(Effect.flatMap(run, viewFor), (body) => ({ status: 200, body }))
          )
        })
      ).pipe(Effect.map(caseAnswer))
    )
    .handle("listCases", ({ query }) => {
      const list = inTenant(
        Effect.gen(function* () {
          const found = yield* listCases(yield* filterOf(query), query)
          const items = yield* Effect.forEach(found.items, viewOfListed)
          return { items, ...(found.cursor === undefined ? {} : { cursor: found.cursor }) } as Erased
        })
      )
      return query.q === undefined ? list : Effect.andThen(answering(limitReads("search")), list)
    })
    .handle("exportCases", ({ query }) =>
      // Not in a transaction: the stream is read long after this one would have ended.
      answering(
        Effect.andThen(limitReads("export"), Effect.flatMap(filterOf(query), csvOf)).pipe(
          Effect.map((response) => response as never)
        )
      )
    )
)

/** Lists leave out `possible`, which costs a decision for each transition. */
const viewOfListed = Effect.fnUntraced(function* (record: CaseRecord) {
  const type = yield* (yield* CaseTypes).get(record.type)
  return viewOf(record, type.definition, yield* audienceOf(record))
})

const typeView = (definition: CaseTypeDefinition) => ({
  id: definition.id,
  version: definition.version,
  title: definition.title,
  definition: definition as unknown as Record<string, unknown>
})

export const caseTypesHandlers = HttpApiBuilder.group(CasesApi, "caseTypes", (handlers) =>
  handlers
    .handle("listCaseTypes", () =>
      Effect.map(CaseTypes, (types) => ({ items: types.all.map((type) => typeView(type.definition)) }))
    )
    .handle("getCaseType", ({ params }) =>
      answering(
        Effect.map(
          Effect.flatMap(CaseTypes, (types) => types.get(params.type)),
          (type) => typeView(type.definition)
        )
      )
    )
)
