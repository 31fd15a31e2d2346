// Puts more than fits and prints what came of it, as JSON. Arguments: the store's folder, the bytes that do not fit.
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { BlobStore } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { filesystem } from "../index.ts"
import { hosted } from "./host.ts"

const folder = process.argv[2] as string
const pieces = Number(process.argv[3]) / 65_536
const body = (count: number) => Stream.fromIterable(Array.from({ length: count }, () => new Uint8Array(65_536).fill(7)))

const outcome = await Effect.runPromise(
  Effect.gen(function* () {
    const store = yield* BlobStore
    yield* store.put("fits/before", body(1))
    const refused = yield* Effect.flip(store.put("fits/not", body(pieces)))
    yield* store.put("fits/after", body(1))
    const { items } = yield* store.list("")
    const { reason, retryable } = refused
    return { reason, retryable, keys: items.map((item) => item.key), incoming: readdirSync(join(folder, "incoming")) }
  }).pipe(Effect.provide(hosted(filesystem({ folder }), folder)))
)
process.stdout.write(JSON.stringify(outcome))
