/** Who hears what partners send to `/v1/callbacks/{instance}`: each plugin what is addressed to it. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { CallbackAnswer, CallbackRequest, HostCallbacks } from "../plugin/HostCallbacks.ts"

type Handler = (request: CallbackRequest) => Effect.Effect<CallbackAnswer>

export class Callbacks extends Context.Service<
  Callbacks,
  {
    /** What the plugin is given that goes by this name in addresses. */
    readonly of: (name: string) => HostCallbacks["Service"]
    readonly handlerOf: (name: string) => Handler | undefined
  }
>()("@mahalla/engine/Callbacks") {}

/** `publicUrl`: where the city is reached from outside. */
export const makeCallbacks = (publicUrl: string | undefined): Callbacks["Service"] => {
  const handlers = new Map<string, Handler>()
  return {
    of: (name) => ({
      url: publicUrl === undefined ? undefined : `${publicUrl.replace(/\/$/, "")}/v1/callbacks/${name}`,
      serve: (handler) =>
        Effect.acquireRelease(
          Effect.sync(() => void handlers.set(name, handler)),
          () =>
            Effect.sync(() => {
              if (handlers.get(name) === handler) handlers.delete(name)
            })
        )
    }),
    handlerOf: (name) => handlers.get(name)
  }
}
