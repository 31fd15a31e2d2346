/** Case types' JSON Schemas as Effect schemas, and their failures as pointers into the request. */
import * as Effect from "effect/Effect"
import * as JsonSchema from "effect/JsonSchema"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaRepresentation from "effect/SchemaRepresentation"
import type { FieldSchema, ObjectSchema } from "./CaseType.ts"
import { type FieldIssue, InvalidInput } from "./model.ts"

const formats: Readonly<Record<string, string>> = {
  "date-time": "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}(:\\d{2}(\\.\\d+)?)?(Z|[+-]\\d{2}:\\d{2})$",
  date: "^\\d{4}-\\d{2}-\\d{2}$",
  uuid: "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
}

/** The field as plain JSON Schema 2020-12; a format that a validator may ignore also becomes a pattern. */
const plainField = (field: FieldSchema): JsonSchema.JsonSchema => {
  const { items, personal: _personal, properties, visibility: _visibility, ...rest } = field
  return {
    ...rest,
    ...(field.type === "string" && field.maxLength === undefined ? { maxLength: 4_000 } : {}),
    ...(field.format !== undefined && field.pattern === undefined ? { pattern: formats[field.format] } : {}),
    ...(items === undefined ? {} : { items: plainField(items) }),
    ...(properties === undefined ? {} : plainObject({ properties, required: field.required ?? [] }))
  }
}

/** The whole as plain JSON Schema, for OpenAPI and for forms. Unknown keys are refused. */
export const plainObject = (schema: ObjectSchema): JsonSchema.JsonSchema => ({
  type: "object",
  properties: Object.fromEntries(Object.entries(schema.properties).map(([name, field]) => [name, plainField(field)])),
  required: [...(schema.required ?? [])],
  additionalProperties: false
})

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** A JSON Pointer (RFC 6901) from the path of a schema issue. */
export const pointerOf = (path: ReadonlyArray<unknown>): string =>
  path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("")

export const issuesOf = (error: Schema.SchemaError, prefix = ""): ReadonlyArray<FieldIssue> =>
  format(error.issue).issues.map((issue) => ({
    pointer: prefix + pointerOf((issue.path ?? []).map((part) => (typeof part === "object" ? part.key : part))),
    detail: issue.message
  }))

export type Decoder = (
  value: unknown,
  prefix?: string
) => Effect.Effect<Readonly<Record<string, unknown>>, InvalidInput>

/** Days and moments of the right form that no calendar has, as 31 February. */
const impossibleDays = (field: FieldSchema, value: unknown, pointer: string): ReadonlyArray<FieldIssue> => {
  if (typeof value === "string" && (field.format === "date" || field.format === "date-time"))
    return existsInCalendar(value) ? [] : [{ pointer, detail: "There is no such day or time." }]
  if (Array.isArray(value) && field.items !== undefined)
    return value.flatMap((item, index) => impossibleDays(field.items!, item, `${pointer}/${index}`))
  if (typeof value === "object" && value !== null && field.properties !== undefined)
    return Object.entries(field.properties).flatMap(([name, part]) =>
      impossibleDays(part, (value as Record<string, unknown>)[name], pointer + pointerOf([name]))
    )
  return []
}

/** `Date.parse` takes 31 February for 3 March. */
export const existsInCalendar = (text: string): boolean => {
  const day = Date.parse(`${text.slice(0, 10)}T00:00:00Z`)
  return (
    !Number.isNaN(Date.parse(text)) &&
    !Number.isNaN(day) &&
    new Date(day).toISOString().startsWith(text.slice(0, 10)) &&
    !text.startsWith("0000")
  )
}

/** Compiles an object schema once; the decoder reports every issue, and unknown keys too. */
export const makeDecoder = (schema: ObjectSchema): Decoder => {
  const compiled = SchemaRepresentation.fromJsonSchemaDocument(JsonSchema.fromSchemaDraft2020_12(plainObject(schema)), {
    patterns: "apply"
  })
  const decode = Schema.decodeUnknownResult(compiled as Schema.Codec<unknown>, {
    errors: "all",
    onExcessProperty: "error"
  })
  return (value, prefix = "") => {
    const result = decode(value)
    if (Result.isSuccess(result)) {
      const issues = impossibleDays({ ...schema, type: "object" }, result.success, prefix)
      return issues.length === 0
        ? Effect.succeed(result.success as Readonly<Record<string, unknown>>)
        : Effect.fail(new InvalidInput({ issues }))
    }
    return Effect.fail(new InvalidInput({ issues: issuesOf(result.failure as Schema.SchemaError, prefix) }))
  }
}
