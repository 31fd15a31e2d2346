// Puts a body that never ends and says so once a part of it is on the disk. Argument: the store's folder.
import { BlobStore } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { filesystem } from "../index.ts"
import { hosted } from "./host.ts"

const folder = process.argv[2] as string
const piece = new Uint8Array(65_536).fill(7)
const body = Stream.range(0, Number.MAX_SAFE_INTEGER).pipe(
  Stream.rechunk(1),
  Stream.mapEffect((index) =>
    index < 32
      ? Effect.succeed(piece)
      : Effect.andThen(
          Effect.sync(() => process.stdout.write("writing\n")),
          Effect.as(Effect.sleep("1 hour"), piece)
        )
  )
)
await Effect.runPromise(
  Effect.flatMap(BlobStore, (store) => store.put("crash/new", body)).pipe(
    Effect.provide(hosted(filesystem({ folder }), folder))
  )
)
