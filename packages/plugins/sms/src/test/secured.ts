/** TLS before a port that speaks none, with a certificate of its own. */
import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import { connect } from "node:net"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { createServer } from "node:tls"
import { promisify } from "node:util"
import * as Effect from "effect/Effect"
import { ensureProgram } from "../../../../../scripts/services/debian.ts"
import { temporary } from "./simulator.ts"

export const secured = (behind: number) =>
  Effect.gen(function* () {
    const folder = yield* temporary
    const [authority, key] = [join(folder, "certificate.pem"), join(folder, "key.pem")]
    const server = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const request = "req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2 -subj /CN=centre"
        const named = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", authority]
        await promisify(execFile)(await ensureProgram("openssl"), [...request.split(" "), ...named])
        const [cert, secret] = await Promise.all([readFile(authority), readFile(key)])
        const opened = createServer({ cert, key: secret }, (near) => {
          const far = connect(behind, "127.0.0.1")
          near.pipe(far).pipe(near)
          for (const socket of [near, far]) socket.on("error", () => [near, far].map((one) => one.destroy()))
        })
        opened.on("tlsClientError", () => {})
        await new Promise<void>((resolve) => opened.listen(0, "127.0.0.1", resolve))
        return opened
      }),
      (opened) => Effect.promise(() => new Promise((resolve) => opened.close(resolve)))
    )
    return { authority, port: (server.address() as AddressInfo).port }
  })
