/** What plugins that hear from partners are given in tests, with a partner's hand on it. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type CallbackAnswer, type CallbackRequest, HostCallbacks } from "../plugin/HostCallbacks.ts"

export interface FakeCallbacks {
  readonly layer: Layer.Layer<HostCallbacks>
  /** As from the partner; 404 while nobody serves. Default: a `POST` of nothing. */
  readonly call: (request: Partial<CallbackRequest>) => Effect.Effect<CallbackAnswer>
}

export const fakeCallbacks = (url = "https://city.example/v1/callbacks/test"): FakeCallbacks => {
  let handler: ((request: CallbackRequest) => Effect.Effect<CallbackAnswer>) | undefined
  const nothing: CallbackRequest = {
    method: "POST",
    path: "",
    query: new Map(),
    headers: {},
    body: new Uint8Array(),
    ip: "192.0.2.1"
  }
  return {
    layer: Layer.succeed(HostCallbacks, {
      url,
      serve: (given) =>
        Effect.acquireRelease(
          Effect.sync(() => void (handler = given)),
          () =>
            Effect.sync(() => {
              if (handler === given) handler = undefined
            })
        )
    }),
    call: (request) =>
      Effect.suspend(() => handler?.({ ...nothing, ...request }) ?? Effect.succeed<CallbackAnswer>({ status: 404 }))
  }
}
