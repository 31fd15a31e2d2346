/**
 * Faults that a scanner must find, in a module of its own: the proof that a scan which finds nothing looked. Everything here is what the house
 * forbids (SQL put together from text, on a connection that no policy holds; the caller's text as markup and as an address; a file by its
 * name; a request to wherever one is told), so it is in no package and only in the city of a scan.
 */
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { answering, cityApi, defineModule, Door, type Module } from "@mahalla/core/module"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import pg from "pg"

/** The only folder whose files it means to give out. */
const folder = import.meta.dirname

const Text = Schema.String

const PlantedApi = cityApi("planted")
  .add(
    HttpApiGroup.make("planted")
      .add(
        HttpApiEndpoint.get("streets", "/planted/streets", {
          query: { name: Text, column: Schema.optionalKey(Text) },
          success: Text
        }),
        HttpApiEndpoint.post("noteStreet", "/planted/streets/:id/notes", {
          params: { id: Text },
          payload: Schema.Struct({ text: Text }),
          success: Text
        }),
        HttpApiEndpoint.get("greeting", "/planted/greeting", { query: { name: Text }, success: Text }),
        HttpApiEndpoint.get("elsewhere", "/planted/elsewhere", { query: { to: Text }, success: Text }),
        HttpApiEndpoint.get("leaflet", "/planted/leaflet", { query: { file: Text }, success: Text }),
        HttpApiEndpoint.get("preview", "/planted/preview", { query: { address: Text }, success: Text })
      )
      .middleware(Door)
  )
  .prefix("/v1")

const found = (body: string, type = "text/plain") => HttpServerResponse.text(body, { contentType: type }) as never

/** On a connection of its own, each time: one whose client went away in the middle would make the next ones wait. */
const query = (connectionString: string, text: string) =>
  answering(
    Effect.promise(async () => {
      const client = new pg.Client({ connectionString, statement_timeout: 20_000 })
      client.on("error", () => {})
      await client.connect()
      try {
        const result = await client.query(text)
        // Several statements give several results.
        return found(JSON.stringify([result].flat().at(-1)?.rows))
      } catch (error) {
        // As many drivers show it.
        return found(`PostgreSQL query failed: ERROR:  ${(error as Error).message}`)
      } finally {
        await client.end()
      }
    })
  )

const handlers = (connectionString: string) =>
  HttpApiBuilder.group(PlantedApi, "planted", (group) =>
    group
      .handle("streets", ({ query: { column = "name", name } }) =>
        query(connectionString, `select ${column} from planted.street where name = '${name}'`)
      )
      .handle("noteStreet", ({ params, payload }) =>
        query(
          connectionString,
          `update planted.street set note = '${payload.text}' where id = ${params.id} returning note`
        )
      )
      .handle("greeting", ({ query: { name } }) =>
        Effect.succeed(found(`<!doctype html><html><body><p>Hello ${name}</p></body></html>`, "text/html"))
      )
      .handle("elsewhere", ({ query: { to } }) =>
        Effect.succeed(HttpServerResponse.empty({ status: 302, headers: { location: to } }) as never)
      )
      .handle("leaflet", ({ query: { file } }) =>
        Effect.promise(() =>
          readFile(join(folder, file.split("\u0000")[0]!), "utf8")
            .then((text) => found(text))
            .catch(() => found("No such leaflet"))
        )
      )
      .handle("preview", ({ query: { address } }) =>
        Effect.promise(() =>
          fetch(address, { signal: AbortSignal.timeout(2_000) })
            .then((response) => response.text())
            .then((text) => found(text.slice(0, 200)))
            .catch(() => found("No preview"))
        )
      )
  )

/** What the handlers ask; to be made in the scanned database. */
export const plantedTables = `
create schema planted;
create table planted.street (id int primary key, name text not null, note text);
insert into planted.street values (1, 'Registon'), (2, 'Navoiy'), (3, 'Registon');`

export const planted = (connectionString: string): Module =>
  defineModule({
    id: "planted",
    api: {
      definition: PlantedApi,
      layer: HttpApiBuilder.layer(PlantedApi).pipe(Layer.provide(handlers(connectionString))) as never
    }
  })

const sqlInjection = "SQL Injection"

/** Where each tool must find something: by sqlmap the operation and the field, by wapiti also with which module and as what. */
export const plants = {
  sqlmap: [
    "GET /v1/planted/streets name",
    "GET /v1/planted/streets column",
    "POST /v1/planted/streets/{id}/notes id",
    "POST /v1/planted/streets/{id}/notes text"
  ],
  /** Of sqlmap: each of them works on something that was planted. */
  techniques: [
    "UNION query",
    "boolean-based blind",
    "error-based",
    "inline query",
    "stacked queries",
    "time-based blind"
  ],
  wapiti: [
    { module: "sql", kind: sqlInjection, place: "GET /v1/planted/streets name" },
    { module: "sql", kind: sqlInjection, place: "GET /v1/planted/streets column" },
    { module: "sql", kind: sqlInjection, place: "POST /v1/planted/streets/{id}/notes id" },
    { module: "sql", kind: sqlInjection, place: "POST /v1/planted/streets/{id}/notes text" },
    { module: "blindsql", kind: "Blind SQL Injection", place: "GET /v1/planted/streets column" },
    { module: "xss", kind: "Cross Site Scripting", place: "GET /v1/planted/greeting name" },
    { module: "redirect", kind: "Open Redirect", place: "GET /v1/planted/elsewhere to" },
    { module: "file", kind: "Path Traversal", place: "GET /v1/planted/leaflet file" },
    { module: "ssrf", kind: "Server Side Request Forgery", place: "GET /v1/planted/preview address" }
  ]
} as const
