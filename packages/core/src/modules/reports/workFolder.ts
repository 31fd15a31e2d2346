/**
 * Folders for files that are worked on. A process that is killed cannot remove its own, so whoever comes later removes those that nobody can
 * be using any more.
 */
import { mkdtemp, readdir, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

const prefix = "mahalla-report-"

/** Milliseconds; twice as long as the longest job may take. Age and not a process id: those mean nothing in the next container. */
const abandonedAfter = 60 * 60_000

/** Removes what killed processes have left. A folder's age counts from the last file made in it. */
const sweep = (now: number) =>
  Effect.ignore(
    Effect.tryPromise(async () => {
      for (const name of await readdir(tmpdir())) {
        if (!name.startsWith(prefix)) continue
        const path = join(tmpdir(), name)
        const found = await stat(path).catch(() => undefined)
        if (found !== undefined && now - found.mtimeMs > abandonedAfter)
          await rm(path, { recursive: true, force: true })
      }
    })
  )

let sweptAt = -Infinity

/** A folder that goes when the scope closes. */
export const workFolder = Effect.acquireRelease(
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    if (now - sweptAt > abandonedAfter) {
      sweptAt = now
      yield* sweep(now)
    }
    return yield* Effect.promise(() => mkdtemp(join(tmpdir(), prefix)))
  }),
  (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
)
