/**
 * Resumable uploads over HTTP: tus 1.0 (https://tus.io/protocols/resumable-upload) with creation, creation-with-upload, termination
 * and expiration. Any replica may take any request; what a sender was told is safe in the blob store and in PostgreSQL.
 *
 * The protocol is `@tus/server`'s. Here are the actor's rights, answers as problem documents, and what the library leaves out: 412 for
 * another version, `X-HTTP-Method-Override`, and the rest of a refused body.
 */
import { Server } from "@tus/server"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { BlobStore } from "../../ports/BlobStore.ts"
import type { Limiter } from "../../ports/Limiter.ts"
import { type Database, withTenant } from "../db/Database.ts"
import { RequestFacts } from "../http/Door.ts"
import { problem, type ProblemAnswer, problemOf } from "../http/problems.ts"
import type { Keys } from "../keys/Keys.ts"
import { demand, type Policy } from "../policy/Policy.ts"
import { Actor } from "../policy/Principal.ts"
import { uploadLimits } from "./limits.ts"
import { UploadProblem } from "./model.ts"
import { type Run, TusStore } from "./tusStore.ts"
import { findUpload, newToken, parseToken, refuse } from "./uploads.ts"

const version = "1.0.0"

type Services = Actor | Database | BlobStore | Keys | Limiter | Policy

/** Titles for what RFC 9457 readers see; the library's own texts become the detail. */
const kinds: Readonly<Record<number, string>> = {
  400: "bad-request",
  403: "forbidden",
  404: "not-found",
  409: "wrong-offset",
  410: "gone",
  412: "tus-version",
  413: "too-large",
  415: "media-type",
  423: "locked",
  501: "not-supported"
}

const answerOf = (error: unknown): ProblemAnswer | undefined =>
  error instanceof UploadProblem ? error.answer : problemOf(error)

/** What an operator should hear of, unlike an answer that was meant. */
const isFault = (error: unknown): boolean =>
  !(error instanceof UploadProblem) && (answerOf(error)?.status ?? 500) >= 500

const logFault = (requestId: string, cause: Cause.Cause<unknown>) =>
  Effect.logError(`Upload request ${requestId} failed`, cause)

const internal = (requestId: string) =>
  problem(500, "internal", `Something went wrong on our side. Tell the operator this number: ${requestId}.`)

const problemResponse = (answer: ProblemAnswer, method: string, requestId: string, headers: Headers): Response => {
  for (const [name, value] of Object.entries(answer.headers ?? {})) headers.set(name, value)
  headers.delete("content-length")
  headers.set("content-type", "application/problem+json")
  headers.set("cache-control", "no-store")
  const body = method === "HEAD" ? null : JSON.stringify({ ...answer.body, requestId })
  return new Response(body, { status: answer.status, headers })
}

const tusHeaders = () => new Headers({ "tus-resumable": version })

/** The last part of the path when it names an upload, and the path of the collection. */
const placeOf = (url: string) => {
  const path = new URL(url).pathname.replace(/\/+$/, "")
  const last = path.slice(path.lastIndexOf("/") + 1)
  const token = parseToken(last) === undefined ? undefined : last
  return { token, collection: token === undefined ? path : path.slice(0, path.lastIndexOf("/")) }
}

/**
 * A sender that is still writing would see a broken connection instead of the answer, so the rest of a refused body is read for a
 * while before the connection is given up.
 */
const linger = (reader: ReadableStreamDefaultReader<Uint8Array>) => {
  const drain = async () => {
    for (let left = 16 * 1024 * 1024; left > 0;) {
      const { done, value } = await reader.read()
      if (done) return
      left -= value.length
    }
  }
  return Effect.promise(() => drain().catch(() => {})).pipe(
    Effect.timeoutOption("5 seconds"),
    Effect.andThen(Effect.promise(() => reader.cancel().catch(() => {})))
  )
}

/** What became of an upload, with the receipt, for whoever holds its address. */
const describe = Effect.fnUntraced(function* (token: string | undefined) {
  if (token === undefined) return yield* refuse(404, "not-found", "Begin an upload with POST.")
  const row = yield* findUpload(token)
  const { id, kind, mediaType, name, receipt, received, sha256, size, state } = row
  return Response.json(
    { id, state, name, size, received: state === "stored" ? size : received, kind, mediaType, sha256, receipt },
    { headers: { "cache-control": "no-store" } }
  )
})

/** Runs the library on one request. */
const answer = Effect.fnUntraced(function* (request: Request, method: string, requestId: string) {
  const context = yield* Effect.context<Services>()
  const newName = yield* newToken
  const { token, collection } = placeOf(request.url)
  let refused: ProblemAnswer | undefined
  const run: Run = async (effect) => {
    const exit = await Effect.runPromiseExitWith(context as Context.Context<Services>)(effect)
    if (Exit.isSuccess(exit)) return exit.value
    const error = Cause.squash(exit.cause)
    refused = answerOf(error)
    if (isFault(error)) await Effect.runPromiseWith(context)(logFault(requestId, exit.cause))
    refused ??= internal(requestId)
    throw Object.assign(new Error(refused.body.detail), { status_code: refused.status, body: "" })
  }
  const limits = Effect.flatMap(Actor, (actor) => withTenant(actor.tenantId)(uploadLimits))
  const body = request.body?.getReader()
  const store = new TusStore(run, body)
  const server = new Server({
    path: collection === "" ? "/" : collection,
    datastore: store,
    // Two connections to one upload are kept apart by the row, not by a lock that would live in one process.
    locker: { newLock: () => ({ lock: () => Promise.resolve(), unlock: () => Promise.resolve() }) },
    maxSize: async () => (method === "POST" || method === "OPTIONS" ? (await run(limits)).maxSize : 0),
    namingFunction: () => newName,
    generateUrl: (_, { id }) => `${collection}/${id}`,
    getFileIdFromRequest: () => token,
    onUploadFinish: async (_, upload) => {
      await store.finish(upload.id)
      return {}
    }
  })
  const headers = new Headers(request.headers)
  headers.delete("x-forwarded-proto")
  // Without the body, which the store reads by itself.
  const response = yield* Effect.promise(() => server.handleWeb(new Request(request.url, { method, headers })))
  // Origins are the engine's matter, by tenant.
  for (const name of [...response.headers.keys()]) if (name.startsWith("access-control-")) response.headers.delete(name)
  if (response.status < 400) {
    if (store.expiresAt !== undefined) response.headers.set("upload-expires", store.expiresAt.toUTCString())
    return response
  }
  if (body !== undefined) yield* Effect.forkDetach(linger(body))
  const text = (yield* Effect.promise(() => response.text())).trim()
  refused ??= problem(response.status, kinds[response.status] ?? "bad-request", text === "" ? undefined : `${text}.`)
  return problemResponse(refused, method, requestId, response.headers)
})

/**
 * Answers a tus request under `/v1/uploads`; the actor is resolved. Never fails: problems are answers. It is not interrupted when the
 * sender goes away, but ends by itself once what has arrived is safe.
 *
 * Beside the protocol `GET` on an upload's address tells what became of it, with the signed receipt.
 */
export const handleTus = Effect.fn("handleTus")(function* (request: Request) {
  const { id: requestId } = yield* RequestFacts
  const override = request.method === "POST" ? request.headers.get("x-http-method-override")?.toUpperCase() : undefined
  const method = override !== undefined && /^(PATCH|DELETE|HEAD)$/.test(override) ? override : request.method
  return yield* Effect.gen(function* () {
    if (method === "OPTIONS") return yield* answer(request, method, requestId)
    yield* demand("attachment.create")
    if (method === "GET") return yield* describe(placeOf(request.url).token)
    if (request.headers.get("tus-resumable") !== version) {
      return yield* refuse(412, "tus-version", `Send Tus-Resumable: ${version}.`, {}, { "tus-version": version })
    }
    return yield* answer(request, method, requestId)
  }).pipe(
    Effect.catchCause((cause) => {
      const error = Cause.squash(cause)
      return Effect.as(
        isFault(error) ? logFault(requestId, cause) : Effect.void,
        problemResponse(answerOf(error) ?? internal(requestId), method, requestId, tusHeaders())
      )
    })
  )
}, Effect.uninterruptible)
