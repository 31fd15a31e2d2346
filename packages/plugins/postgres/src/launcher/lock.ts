/**
 * Agreement between processes that use one data folder: a lock for starting and stopping, and a list of who uses the server, so
 * that the last one to leave stops it. Both survive `kill -9` of a holder.
 */
import { randomBytes } from "node:crypto"
import { mkdir, readFile, readdir, rm, rmdir, stat, unlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { StorageError } from "@mahalla/core/plugin"
import { attempt, failure, orAbsent } from "./failure.ts"
import { identify, lives, type ProcessIdentity } from "./processes.ts"

const exclusively = (promise: Promise<unknown>): Promise<boolean> =>
  promise.then(
    () => true,
    (cause: NodeJS.ErrnoException) => {
      if (cause.code === "EEXIST") return false
      throw cause
    }
  )

const age = async (path: string, now: number): Promise<number> => {
  const found = await orAbsent(stat(path))
  return found === undefined ? 0 : now - found.mtimeMs
}

const parse = (text: string): ProcessIdentity | undefined => {
  try {
    return JSON.parse(text) as ProcessIdentity
  } catch {
    return undefined
  }
}

/** A holder that has not finished writing its name is given ten seconds. */
const abandoned = async (path: string, text: string, now: number): Promise<boolean> => {
  const holder = parse(text)
  return holder === undefined ? (await age(path, now)) > 10_000 : !(await lives(holder))
}

const take = async (path: string, me: string, now: number): Promise<boolean> => {
  if (await exclusively(writeFile(path, me, { flag: "wx", mode: 0o600 }))) return true
  const held = await orAbsent(readFile(path, "utf8"))
  if (held === undefined || !(await abandoned(path, held, now))) return false
  // Several may find the same dead holder; only the one that makes this folder may remove the lock, and only that very lock.
  const broom = `${path}.break`
  if (!(await exclusively(mkdir(broom)))) {
    if ((await age(broom, now)) > 10_000) await orAbsent(rmdir(broom))
    return false
  }
  if ((await orAbsent(readFile(path, "utf8"))) === held) await orAbsent(unlink(path))
  await orAbsent(rmdir(broom))
  return false
}

const timed = <A>(path: string, run: (now: number) => Promise<A>) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => attempt(path, () => run(now)))

const me = attempt("this process", async () => JSON.stringify(await identify(process.pid)))

/** Runs alone among all processes that name the same lock; waits up to two minutes for it. */
export const locked = <A, E, R>(path: string, body: Effect.Effect<A, E, R>): Effect.Effect<A, E | StorageError, R> =>
  Effect.acquireUseRelease(
    Effect.gen(function* () {
      const name = yield* me
      for (let waited = 0; !(yield* timed(path, (now) => take(path, name, now))); waited += 20) {
        if (waited >= 120_000)
          return yield* failure(
            "DataFolder",
            path,
            `Another process has been starting on this data folder for two minutes. See who holds ${path}, end it, and start again.`
          )
        yield* Effect.sleep(20)
      }
    }),
    () => body,
    () => Effect.ignore(attempt(path, () => orAbsent(unlink(path))))
  )

export interface Membership {
  /** Whether no other living process is on the list. */
  readonly only: Effect.Effect<boolean, StorageError>
  readonly leave: Effect.Effect<void, StorageError>
}

/** Enters this process into a list of those who use something together. */
export const enlist = (folder: string): Effect.Effect<Membership, StorageError> =>
  Effect.gen(function* () {
    const entry = `${process.pid}-${randomBytes(6).toString("hex")}`
    const name = yield* me
    yield* attempt(folder, async () => {
      await mkdir(folder, { recursive: true })
      await writeFile(join(folder, entry), name)
    })
    return {
      only: timed(folder, async (now) => {
        for (const other of (await orAbsent(readdir(folder))) ?? []) {
          if (other === entry) continue
          const path = join(folder, other)
          const text = await orAbsent(readFile(path, "utf8"))
          if (text === undefined) continue
          if (!(await abandoned(path, text, now))) return false
          await rm(path, { force: true })
        }
        return true
      }),
      leave: attempt(folder, () => rm(join(folder, entry), { force: true }))
    }
  })
