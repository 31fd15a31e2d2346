import { Messenger } from "@mahalla/core/plugin"
import { MessengerControl, messengerSuite } from "@mahalla/core/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describe, it } from "@effect/vitest"
import { simulator, temporary } from "../test/simulator.ts"
import { smppAt } from "../test/smpp.ts"
import { witness } from "../test/witness.ts"

const once = "SMPP has no ids of ours: what may have been taken is never sent again"

const layer = Layer.effectContext(
  Effect.gen(function* () {
    const centre = yield* simulator("./smsc/main.ts")
    const { messenger } = yield* smppAt(yield* temporary, centre.port)
    const seen = witness(messenger)
    return Context.make(Messenger, seen.messenger).pipe(
      Context.add(MessengerControl, {
        next: (fault) => Effect.promise(() => centre.ask("PUT", "/faults", { next: [fault] })),
        delivered: (to) =>
          Effect.promise(async () => {
            const all = await centre.ask<ReadonlyArray<{ readonly text: string }>>("GET", `/messages?to=${to.slice(1)}`)
            return seen.name(
              to,
              all.map(({ text }) => text)
            )
          })
      })
    )
  })
)

messengerSuite.run(
  { describe, it },
  {
    name: "SMS by SMPP",
    layer,
    skip: [
      { rule: "calls a lost answer unknown, and a repeat does not deliver twice", reason: once },
      { rule: "calls an answer lost before delivery unknown, and a repeat delivers", reason: once }
    ]
  }
)
