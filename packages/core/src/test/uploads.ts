/** For tests of uploads: files, a bare HTTP server with the uploads on it, and a line to it that breaks where one wants. */
import { createHash, randomBytes } from "node:crypto"
import { mkdtemp, rm } from "node:fs/promises"
import { createServer, type IncomingMessage } from "node:http"
import { type AddressInfo, connect, createServer as createLine, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import type { ReadableStream as NodeWebStream } from "node:stream/web"
import { filesystem } from "@mahalla/filesystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { handleTus } from "../kernel/attachments/tus.ts"
import { Attachments } from "../kernel/attachments/Attachments.ts"
import { Keys } from "../kernel/keys/Keys.ts"
import { Policy } from "../kernel/policy/Policy.ts"
import { presetRoles, rolesOf } from "../kernel/policy/presets.ts"
import { Actor, anonymous, type Principal } from "../kernel/policy/Principal.ts"
import { Host } from "../plugin/Host.ts"
import { layerMemoryLimiter } from "../plugin/memoryLimiter.ts"
import type { BlobStore } from "../ports/BlobStore.ts"
import { testKernel } from "../testing/kernel.ts"

const heads = {
  mp4: Buffer.concat([Buffer.from("00000018", "hex"), Buffer.from("ftypmp42\0\0\0\0mp42isom")]),
  quicktime: Buffer.concat([Buffer.from("00000014", "hex"), Buffer.from("ftypqt  \0\0\0\0qt  ")]),
  jpeg: Buffer.from("ffd8ffe000104a46494600010100000100010000", "hex"),
  pdf: Buffer.from("%PDF-1.7\n"),
  zip: Buffer.concat([Buffer.from("504b0304140000000800", "hex"), Buffer.alloc(20)]),
  text: Buffer.from("just words, and nothing that a program would know ")
}

/** Random bytes behind the head of a type. */
export const fileOf = (type: keyof typeof heads, size: number): Buffer =>
  Buffer.concat([heads[type], randomBytes(Math.max(0, size - heads[type].length))]).subarray(0, size)

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** The real file store, in a folder that goes with the layer. */
export const temporaryFiles: Layer.Layer<BlobStore> = Layer.unwrap(
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "mahalla-uploads-"))),
      (home) => Effect.promise(() => rm(home, { recursive: true, force: true }))
    ),
    (home) =>
      filesystem({}).layer.pipe(
        Layer.provide(Layer.succeed(Host, { instance: "filesystem", home, scratch: home, mode: "dev" as const }))
      )
  )
) as Layer.Layer<BlobStore>

export const testKeys = Keys.layer(Redacted.make("a secret of tests, and of nothing else"))

const anonymousMaySend = { id: "anonymous", title: "Visitor", permissions: ["attachment.create"] }

/** Everything that uploads need. Visitors may send too. */
export const uploadKernel = (postgresUrl: string, blobs: Layer.Layer<BlobStore> = temporaryFiles) =>
  Attachments.layer.pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        testKernel({ postgresUrl, maxConnections: 16 }),
        blobs,
        testKeys,
        layerMemoryLimiter,
        Layer.succeed(Policy, {
          roles: rolesOf([...presetRoles, anonymousMaySend], [])
        })
      )
    )
  )

/** As an HTTP server hands requests to the engine. */
export const toWebRequest = (request: IncomingMessage): Request => {
  const headers = Object.entries(request.headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)] as [string, string]]
  )
  const bodiless = request.method === "GET" || request.method === "HEAD"
  return new Request(`http://${request.headers.host}${request.url}`, {
    method: request.method ?? "GET",
    headers,
    ...(bodiless ? {} : { body: Readable.toWeb(request) as NodeWebStream as ReadableStream, duplex: "half" })
  })
}

export interface TusServer {
  readonly port: number
  readonly endpoint: string
  /** Headers that make a request somebody's. */
  readonly as: (principal: Principal) => Record<string, string>
}

/** Serves uploads on a free port while the scope is open. */
export const startTusServer = Effect.gen(function* () {
  const context = yield* Effect.context<Exclude<Effect.Services<ReturnType<typeof handleTus>>, Actor>>()
  const known = new Map<string, Principal>()
  const actorOf = (request: IncomingMessage): Principal =>
    known.get(String(request.headers["x-actor"])) ?? anonymous(String(request.headers["x-tenant"]))
  const server = createServer((request, response) => {
    const answer = handleTus(toWebRequest(request)).pipe(
      Effect.provideService(Actor, actorOf(request)),
      Effect.flatMap((web) =>
        Effect.promise(async () => {
          response.writeHead(web.status, Object.fromEntries(web.headers))
          response.end(Buffer.from(await web.arrayBuffer()))
        })
      )
    )
    void Effect.runPromiseExitWith(context)(answer)
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
    () =>
      Effect.promise(() => {
        server.closeAllConnections()
        return new Promise<void>((resolve) => server.close(() => resolve()))
      })
  )
  const { port } = server.address() as AddressInfo
  return {
    port,
    endpoint: `http://127.0.0.1:${port}/v1/uploads`,
    as: (principal) => {
      if (principal.id !== null) known.set(principal.id, principal)
      return { "x-actor": principal.id ?? "", "x-tenant": principal.tenantId }
    }
  } satisfies TusServer
})

/** Where a connection breaks: after so many bytes towards the server, or as soon as the server answers. */
export type Break = { readonly after: number } | "before-answer"

/**
 * A line to a port whose connections break as told, one after the other; further ones hold. `breaks` may be filled again later.
 */
export const brittleLine = (port: number, breaks: Array<Break>) =>
  Effect.gen(function* () {
    const sockets = new Set<Socket>()
    const line = createLine((near) => {
      const plan = breaks.shift()
      const far = connect(port, "127.0.0.1")
      const cut = () => {
        near.destroy()
        far.destroy()
      }
      for (const socket of [near, far]) {
        sockets.add(socket)
        socket.on("error", cut)
        socket.on("close", () => {
          sockets.delete(socket)
          cut()
        })
      }
      let passed = 0
      near.on("data", (chunk) => {
        const rest = plan === undefined || plan === "before-answer" ? Infinity : plan.after - passed
        passed += chunk.length
        if (rest <= 0) return
        if (chunk.length >= rest) far.write(chunk.subarray(0, rest), () => setTimeout(cut, 5))
        else if (!far.write(chunk)) {
          near.pause()
          far.once("drain", () => near.resume())
        }
      })
      far.on("data", (chunk) => (plan === "before-answer" ? cut() : near.write(chunk)))
    })
    yield* Effect.acquireRelease(
      Effect.promise(() => new Promise<void>((resolve) => line.listen(0, "127.0.0.1", resolve))),
      () =>
        Effect.promise(() => {
          for (const socket of sockets) socket.destroy()
          return new Promise<void>((resolve) => line.close(() => resolve()))
        })
    )
    return `http://127.0.0.1:${(line.address() as AddressInfo).port}/v1/uploads`
  })
