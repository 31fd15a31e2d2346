/** The messengers of Eskiz and PlayMobile on their simulators, with an address for callbacks. */
import { Host, Messenger } from "@mahalla/core/plugin"
import { hostOutward, MessengerControl } from "@mahalla/core/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { makeEskizMessenger } from "../eskiz/EskizMessenger.ts"
import { makePlayMobileMessenger } from "../playmobile/PlayMobileMessenger.ts"
import { callbacks } from "./callbacks.ts"
import type { Kept } from "./providers/server.ts"
import { type Simulator, simulator, temporary } from "./simulator.ts"
import { hear, hostAt } from "./smpp.ts"

type Callbacks = Effect.Success<typeof callbacks>
export type Kind = "eskiz" | "playmobile"

const common = { patience: 1, remember: 50_000, plainApostrophes: false }
export const token = "a-token-that-nobody-guesses"

/** Opens the messenger on this folder; a second time is a restart. */
export const providerAt = (
  kind: Kind,
  home: string,
  port: number,
  { layer }: Pick<Callbacks, "layer">,
  password = "secret"
) => {
  const url = `http://127.0.0.1:${port}`
  const made =
    kind === "eskiz"
      ? Effect.map(
          makeEskizMessenger({
            ...common,
            url,
            email: "city@example.uz",
            password: Redacted.make(password),
            from: "4546"
          }),
          ({ messenger }) => messenger
        )
      : makePlayMobileMessenger({
          ...common,
          url,
          user: "city",
          password: Redacted.make(password),
          from: "3700",
          callbackToken: Redacted.make(token)
        })
  const host = Layer.mergeAll(layer, hostOutward(["127.0.0.0/8"]), Layer.succeed(Host, hostAt(home)))
  return Effect.provide(made, host)
}

export const opened = (kind: Kind) =>
  Effect.gen(function* () {
    const provider = yield* simulator(`./providers/${kind}.ts`)
    const home = yield* temporary
    const city = yield* callbacks
    if (kind === "playmobile") yield* Effect.promise(() => provider.ask("PUT", "/report-url", `${city.url}/${token}`))
    const messenger = yield* providerAt(kind, home, provider.port, city)
    return { provider, home, city, messenger, heard: yield* hear(messenger) }
  })

export const keptAt = (provider: Simulator, to: string) =>
  Effect.promise(async () =>
    (await provider.ask<ReadonlyArray<Kept>>("GET", "/kept")).filter((one) => `+${one.to}` === to)
  )

export const suiteLayer = (kind: Kind) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { messenger, provider } = yield* opened(kind)
      return Context.make(Messenger, messenger).pipe(
        Context.add(MessengerControl, {
          next: (fault) => Effect.promise(() => provider.ask("PUT", "/faults", { next: [fault] })),
          delivered: (to) => keptAt(provider, to)
        })
      )
    })
  )
