/**
 * The city's one OpenAPI 3.1 document: every module's endpoints, the problem answers they share, and each case type's create and
 * transition doors with their own schemas.
 */
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpApi from "effect/http-api/HttpApi"
import { plainObject } from "../../kernel/cases/schema.ts"
import type { CaseTypes } from "../../kernel/cases/registry.ts"
import type { CaseTypeDefinition } from "../../kernel/cases/CaseType.ts"
import { idempotencyKey } from "../../kernel/http/once.ts"
import type { Erased } from "../../kernel/Erased.ts"

type Json = Record<string, Erased>

const problemSchema = {
  type: "object",
  description: "Problem document (RFC 9457)",
  required: ["type", "title", "status", "requestId"],
  properties: {
    type: { type: "string", description: "URN that programs compare" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string" },
    requestId: { type: "string" },
    code: { type: "string" },
    possible: { type: "array", items: { type: "string" } },
    errors: {
      type: "array",
      items: {
        type: "object",
        required: ["pointer", "detail"],
        properties: { pointer: { type: "string", description: "JSON Pointer (RFC 6901)" }, detail: { type: "string" } }
      }
    }
  }
}

const problemAnswer = {
  description: "A problem: what went wrong and what to do next",
  content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } }
}

const createOperation = (base: Json, definition: CaseTypeDefinition): Json => {
  const required = [
    ...((definition.data.required ?? []).length > 0 ? ["data"] : []),
    ...(definition.place === "required" ? ["place"] : []),
    ...(definition.attachments.min > 0 ? ["attachments"] : [])
  ]
  return {
    ...base,
    operationId: `create.${definition.id}`,
    summary: `Create: ${definition.title.en}`,
    parameters: [idempotencyKey],
    requestBody: {
      required: true,
      content: {
        "application/json": {
          schema: {
            type: "object",
            additionalProperties: false,
            ...(required.length === 0 ? {} : { required }),
            properties: {
              data: plainObject(definition.data),
              ...(definition.place === "none" ? {} : { place: { $ref: "#/components/schemas/Place" } }),
              attachments: {
                type: "array",
                items: {
                  type: "string",
                  maxLength: 200,
                  description: "Id of a finished upload; an anonymous sender's has its secret behind a dot"
                },
                minItems: definition.attachments.min,
                maxItems: definition.attachments.max
              }
            }
          }
        }
      }
    }
  }
}

const ifMatch = {
  name: "If-Match",
  in: "header",
  required: false,
  schema: { type: "string" },
  description: 'The ETag the decision was made on, as `"3"`; 412 when the case has changed.'
}

/** Replaces the generic create and transition doors by one entry per case type and transition. */
const expandCaseTypes = (document: Json, definitions: ReadonlyArray<CaseTypeDefinition>): void => {
  const paths = document["paths"] as Json
  const createPath = "/v1/cases/{type}"
  const transitionPath = "/v1/cases/{type}/{id}/transitions/{transition}"
  const create = paths[createPath]?.post as Json | undefined
  const transition = paths[transitionPath]?.post as Json | undefined
  if (create === undefined || transition === undefined) return
  delete paths[createPath]
  delete paths[transitionPath]
  for (const definition of definitions) {
    if (definition.creatable) paths[`/v1/cases/${definition.id}`] = { post: createOperation(create, definition) }
    for (const [name, entry] of Object.entries(definition.transitions)) {
      if (entry.internal === true) continue
      paths[`/v1/cases/${definition.id}/{id}/transitions/${name}`] = {
        post: {
          ...transition,
          operationId: `${name}.${definition.id}`,
          summary: `${definition.title.en}: ${entry.title.en}`,
          description: `From ${entry.from.join(", ")} to ${entry.to.join(" or ")}. Needs ${entry.permission ?? `${definition.id}.${name}`}.`,
          parameters: [
            { name: "id", in: "path", required: true, schema: { type: "string", format: "uuid" } },
            ifMatch,
            idempotencyKey
          ],
          requestBody: {
            required: true,
            content: { "application/json": { schema: plainObject(entry.input ?? { properties: {} }) } }
          }
        }
      }
    }
  }
}

const eventsPath = {
  get: {
    operationId: "events",
    tags: ["events"],
    summary: "Live events (server-sent events)",
    description: "Resumes after `Last-Event-ID`; without it begins now.",
    parameters: [
      { name: "Last-Event-ID", in: "header", required: false, schema: { type: "string" } },
      ...[
        ["after", "The same for who cannot set headers"],
        ["types", "Types of events, separated by commas; `alert.*` means all that begin with `alert.`"],
        ["severity", "Severities of alerts, separated by commas"],
        ["devices", "Devices that alerts are about, by id, separated by commas"],
        ["territory", "A territory with all below it"]
      ].map(([name, description]) => ({ name, in: "query", required: false, description, schema: { type: "string" } }))
    ],
    responses: {
      "200": { description: "A stream of events", content: { "text/event-stream": { schema: { type: "string" } } } }
    }
  }
}

/** `cases.listCases` → `List cases`. */
const sentenceOf = (operationId: string): string => {
  const words = (operationId.split(".").at(-1) ?? "").replaceAll(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`)
  return words.charAt(0).toUpperCase() + words.slice(1)
}

export const makeDocument = (
  apis: ReadonlyArray<HttpApi.Constraint>,
  caseTypes: CaseTypes["Service"],
  version: string
): Json => {
  const whole = apis.reduce((all, api) => (all as Erased).addHttpApi(api), HttpApi.make("mahalla") as Erased)
  const document = structuredClone(OpenApi.fromApi(whole)) as Json
  document["info"] = {
    title: "Mahalla",
    version,
    description: "The API of this city. Times are RFC 3339 UTC, ids are UUIDs, money is in minor units."
  }
  expandCaseTypes(
    document,
    caseTypes.all.map((type) => type.definition)
  )
  const paths = document["paths"] as Json
  paths["/v1/events"] = eventsPath
  document["components"] ??= {}
  document["components"].schemas = { ...document["components"].schemas, Problem: problemSchema }
  document["components"].securitySchemes = {
    ...document["components"].securitySchemes,
    accessToken: { type: "http", scheme: "bearer", bearerFormat: "JWT" }
  }
  document["security"] = [{}, { accessToken: [] }]
  for (const item of Object.values(paths)) {
    for (const operation of Object.values(item as Json) as Array<Json>) {
      operation["summary"] ??= sentenceOf(operation["operationId"] ?? "")
      operation["tags"] = (operation["tags"] ?? []).map((tag: string) => (tag === "caseSides" ? "cases" : tag))
      operation["responses"] = { ...operation["responses"], default: problemAnswer }
      // An empty list would say that a token changes nothing.
      if (operation["security"]?.length === 0) delete operation["security"]
    }
  }
  return document
}
