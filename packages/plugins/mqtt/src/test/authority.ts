/** A certificate authority of the test's own. */
import { execFile } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import * as Effect from "effect/Effect"
import { ensureProgram } from "../../../../../scripts/services/debian.ts"

const run = promisify(execFile)
const openssl = await ensureProgram("openssl")
const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

/** Paths of PEM files. */
export interface Issued {
  readonly certificate: string
  readonly key: string
}

/** Its certificate, and what it signs: for a broker with the name or address where it is found, for a client without. */
export const authority = Effect.gen(function* () {
  const folder = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "mahalla-authority-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  const ask = (...args: ReadonlyArray<string>) => Effect.promise(() => run(openssl, args, { cwd: folder }))
  const ca = ["-x509", ...curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority"]
  yield* ask("req", ...ca)
  const issue = (name: string, place?: string) =>
    Effect.gen(function* () {
      const names = place === undefined ? [] : ["-addext", `subjectAltName=${place}`]
      yield* ask("req", ...curve, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`, ...names)
      const signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copy"]
      yield* ask("x509", "-req", "-in", `${name}.csr`, ...signer, "-out", `${name}.pem`, "-days", "2")
      return { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) } satisfies Issued
    })
  return { certificate: join(folder, "ca.pem"), issue }
})
