/**
 * A server process of the upload benchmark: `ours <postgres>` takes tus uploads into files, `floor <folder>` writes a request's body to
 * one file and syncs it. Says where it is in one line of JSON, and lives until its input ends.
 */
import { once } from "node:events"
import { createWriteStream } from "node:fs"
import { mkdtemp, open, rm } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pipeline } from "node:stream/promises"
import * as Effect from "effect/Effect"
import { someone } from "../../packages/core/src/test/tusClient.ts"
import { uploadKernel } from "../../packages/core/src/test/uploads.ts"

const ended = () => once(process.stdin.resume(), "end")

const ours = (postgres: string) =>
  Effect.gen(function* () {
    const { endpoint, headers } = yield* someone
    yield* Effect.sync(() => console.log(JSON.stringify({ url: endpoint, headers })))
    yield* Effect.promise(ended)
  }).pipe(Effect.scoped, Effect.provide(uploadKernel(postgres)), Effect.runPromise)

const floor = async () => {
  const folder = await mkdtemp(join(tmpdir(), "mahalla-bench-floor-"))
  const path = join(folder, "file")
  const server = createServer((request, response) => {
    void (async () => {
      await pipeline(request, createWriteStream(path))
      const file = await open(path, "r+")
      await file.sync()
      await file.close()
      response.writeHead(204).end()
    })()
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  console.log(JSON.stringify({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, headers: {} }))
  await ended()
  server.closeAllConnections()
  server.close()
  await rm(folder, { recursive: true })
}

await (process.argv[2] === "ours" ? ours(process.argv[3] ?? "") : floor())
