/**
 * A store in memory that presigns: an HTTP server of its own, and a signature over the whole address. Each check can be left out.
 */
import { createHmac, timingSafeEqual } from "node:crypto"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { BlobStore } from "../ports/BlobStore.ts"
import { memoryBlobMethods } from "../testing/BlobStore.memory.ts"

type Check = "expiry" | "signature" | "method" | "content"

export const presigningBlobStore = (without?: Check): Layer.Layer<BlobStore> =>
  Layer.effect(
    BlobStore,
    Effect.gen(function* () {
      const blobs: Parameters<typeof memoryBlobMethods>[0] = new Map()
      const clock = yield* Clock.Clock
      const sign = (address: string) => createHmac("sha256", "key of a test").update(address).digest("hex")
      const genuine = (url: URL) => {
        const given = url.searchParams.get("signature") ?? ""
        url.searchParams.delete("signature")
        const expected = sign(url.pathname + url.search)
        return given.length === expected.length && timingSafeEqual(Buffer.from(given), Buffer.from(expected))
      }
      const server = createServer((request, response) => {
        const url = new URL(request.url ?? "/", "http://127.0.0.1")
        const blob = blobs.get(url.pathname.slice(1))
        const refused =
          blob === undefined ||
          (without !== "method" && request.method !== "GET") ||
          (without !== "signature" && !genuine(url)) ||
          (without !== "expiry" && Number(url.searchParams.get("expires")) < clock.currentTimeMillisUnsafe())
        request.resume()
        if (refused) return void response.writeHead(403).end()
        const name = url.searchParams.get("name")
        response.writeHead(200, {
          "content-type": without === "content" ? "text/html" : blob.info.contentType,
          ...(name === null
            ? {}
            : { "content-disposition": `attachment; filename*=UTF-8''${encodeURIComponent(name)}` })
        })
        response.end(Buffer.concat(blob.chunks))
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () =>
          Effect.sync(() => {
            server.close()
            server.closeAllConnections()
          })
      )
      const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      return BlobStore.make({
        ...memoryBlobMethods(blobs),
        capabilities: { presign: true, shared: false },
        presign: (key, { expiresIn, downloadName }) =>
          Effect.sync(() => {
            const url = new URL(`/${key}`, origin)
            url.searchParams.set("expires", String(clock.currentTimeMillisUnsafe() + expiresIn))
            if (downloadName !== undefined) url.searchParams.set("name", downloadName)
            url.searchParams.set("signature", sign(url.pathname + url.search))
            return url.href
          })
      })
    })
  )
