import { once } from "node:events"
import { readdir, stat, truncate, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { BlobStore } from "@mahalla/core/plugin"
import { blobStoreSuite } from "@mahalla/core/testing"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "vitest"
import { filesystem } from "./index.ts"
import { pathOf } from "./paths.ts"
import { command, run, startUntil } from "./test/child.ts"
import { hosted, temporaryFolder } from "./test/host.ts"

blobStoreSuite.run(
  { describe, it },
  { name: "filesystem", layer: Layer.unwrap(Effect.map(temporaryFolder, (home) => hosted(filesystem({}), home))) }
)

const text = (words: string) => Stream.make(new TextEncoder().encode(words))
const words = (store: BlobStore["Service"], key: string) => Stream.mkString(Stream.decodeText(store.get(key)))
/** Opens a store on the folder, for the time of one use. */
const using = <A, E>(folder: string, use: (store: BlobStore["Service"]) => Effect.Effect<A, E>) =>
  Effect.flatMap(BlobStore, use).pipe(Effect.provide(hosted(filesystem({ folder }), folder)))
const inFolder = (test: (folder: string) => Effect.Effect<void, unknown>) => () =>
  Effect.runPromise(Effect.scoped(Effect.flatMap(temporaryFolder, test)))

describe("filesystem", () => {
  it(
    "keeps blobs over a restart, readable by their owner only",
    inFolder((folder) =>
      Effect.gen(function* () {
        yield* using(folder, (store) => store.put("a/Photo.jpg", text("kept"), { contentType: "image/jpeg" }))
        const [info, found] = yield* using(folder, (store) =>
          Effect.all([store.head("a/Photo.jpg"), words(store, "a/Photo.jpg")])
        )
        expect(info).toEqual({ key: "a/Photo.jpg", size: 4, contentType: "image/jpeg" })
        expect(found).toBe("kept")
        const file = yield* Effect.promise(() => stat(join(folder, "stored", pathOf("a/Photo.jpg"))))
        expect(process.platform === "win32" ? 0 : file.mode & 0o077).toBe(0)
      })
    )
  )

  it(
    "shows nothing of a write that a crash ended, and sweeps it away at the next start",
    inFolder((folder) =>
      Effect.gen(function* () {
        const child = yield* Effect.promise(() => startUntil([...command("endlessPut.ts"), folder], "writing"))
        const incoming = () => Effect.promise(() => readdir(join(folder, "incoming")))
        yield* using(folder, () => Effect.void)
        expect(yield* incoming(), "another process's write is left alone while it runs").toHaveLength(1)
        child.kill("SIGKILL")
        yield* Effect.promise(() => once(child, "exit"))
        expect(yield* incoming()).toHaveLength(1)
        const seen = yield* using(folder, (store) => Effect.all([store.exists("crash/new"), store.list("")]))
        expect(seen).toEqual([false, { items: [] }])
        expect(yield* incoming()).toEqual([])
      })
    )
  )

  it(
    "lets a second store on the same folder start while the first one writes",
    inFolder((folder) =>
      Effect.gen(function* () {
        const goOn = yield* Deferred.make<void>()
        const body = text("one ").pipe(
          Stream.concat(Stream.fromEffectDrain(Deferred.await(goOn))),
          Stream.concat(text("whole"))
        )
        const writing = yield* Effect.forkChild(using(folder, (store) => store.put("slow", body)))
        yield* Effect.sleep(100)
        yield* using(folder, () => Deferred.succeed(goOn, undefined))
        yield* Fiber.join(writing)
        expect(yield* using(folder, (store) => words(store, "slow"))).toBe("one whole")
      })
    )
  )

  it(
    "puts into folders that deletes are taking away",
    inFolder((folder) =>
      using(folder, (store) =>
        Effect.gen(function* () {
          const churn = (lane: number) =>
            Effect.forEach(
              Array.from({ length: 60 }),
              () => {
                const key = `deep/er/and/deeper/${lane}`
                return Effect.andThen(store.put(key, text("x"), { ifAbsent: true }), store.delete(key))
              },
              { discard: true }
            )
          yield* Effect.forEach([1, 2, 3, 4], churn, { concurrency: 4, discard: true })
          expect(yield* store.list("")).toEqual({ items: [] })
          expect(yield* Effect.promise(() => readdir(join(folder, "stored")))).toEqual([])
        })
      )
    )
  )

  it(
    "refuses to serve a file that another program cut short, and lists no file that is not its own",
    inFolder((folder) =>
      using(folder, (store) =>
        Effect.gen(function* () {
          yield* store.put("cut", text("a body of some length"))
          yield* Effect.promise(() => truncate(join(folder, "stored", pathOf("cut")), 300))
          yield* Effect.promise(() => writeFile(join(folder, "stored", "Thumbs.db"), "x"))
          const error = yield* Effect.flip(words(store, "cut"))
          expect(error).toMatchObject({ reason: "Unavailable", retryable: false })
          expect((yield* store.list("")).items.map((item) => item.key)).toEqual(["cut"])
        })
      )
    )
  )

  it(
    "says what is wrong with its folder",
    inFolder((folder) =>
      Effect.gen(function* () {
        const file = join(folder, "file")
        yield* Effect.promise(() => writeFile(file, "x"))
        const error = yield* Effect.flip(using(file, () => Effect.void))
        expect(error).toMatchObject({ _tag: "PluginError", reason: "Failed" })
        expect(String((error as Error).message)).toContain(file)
        const unknownKey = hosted(filesystem({ foldr: folder } as never), folder)
        const mistyped = yield* Effect.flip(Effect.provide(BlobStore, unknownKey))
        expect(mistyped).toMatchObject({ reason: "InvalidConfig" })
        expect(String((mistyped as Error).message)).toContain("foldr")
      })
    )
  )
})

const overfill = (shell: ReadonlyArray<string>, folder: string) =>
  Effect.promise(async () => {
    const { said, complained } = await run([
      ...shell,
      folder,
      ...command("overfill.ts"),
      folder,
      String(8 * 1024 * 1024)
    ])
    expect(complained).toBe("")
    return JSON.parse(said) as unknown
  })
const full = { reason: "Full", retryable: false, keys: ["fits/after", "fits/before"], incoming: [] }

/** How this user may mount a small file system that goes away with the process; undefined: not at all. */
const ways = [
  ["unshare", "--user", "--map-root-user", "--mount"],
  ["unshare", "--mount"]
].map((way) => [...way, "sh", "-c", 'mount -t tmpfs -o size=2m none "$0" && exec "$@"'])
const works = await Promise.all(ways.map((way) => run([...way, "/mnt", "true"])))
const smallDisk = ways[works.findIndex(({ code }) => code === 0)]

describe("filesystem without space", () => {
  it.skipIf(smallDisk === undefined)(
    "says Full and stores nothing when the disk is full (left out where no tmpfs can be mounted)",
    inFolder((folder) =>
      Effect.gen(function* () {
        expect(yield* overfill(smallDisk ?? [], folder)).toEqual(full)
      })
    )
  )

  it.skipIf(process.platform === "win32")(
    "says Full and stores nothing past a limit on the size of files (left out on Windows, which has none)",
    inFolder((folder) =>
      Effect.gen(function* () {
        expect(yield* overfill(["sh", "-c", 'ulimit -f 2048 && exec "$@"'], folder)).toEqual(full)
      })
    )
  )
})
