/**
 * Requests that a partner's system makes to a plugin: delivery receipts, word of a payment, an answer to a filing. They come to
 * `/v1/callbacks/{instance}` and whatever stands behind it. Anybody can send one: what it says is a hint until the plugin has checked its
 * signature or has asked the partner.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export interface CallbackRequest {
  readonly method: "GET" | "POST"
  /** Behind the plugin's address: empty, or as `/receipts`. */
  readonly path: string
  readonly query: ReadonlyMap<string, string>
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** As it came, at most 256 KiB: signatures are made over bytes. */
  readonly body: Uint8Array
  /** The sender's address, behind the trusted proxies. */
  readonly ip: string
}

export interface CallbackAnswer {
  readonly status: number
  /** Default `application/json`, where there is a body. */
  readonly type?: string
  readonly body?: string
}

export class HostCallbacks extends Context.Service<
  HostCallbacks,
  {
    /** What the partner is told: `https://city.example/v1/callbacks/sms`; undefined where the city has no public address. */
    readonly url: string | undefined
    /**
     * Answers what comes, until the scope ends; a later handler of the same instance replaces an earlier one. A handler that dies, or takes longer
     * than 15 seconds, is answered for with 500 or 503, so that the partner sends it again.
     */
    readonly serve: (
      handler: (request: CallbackRequest) => Effect.Effect<CallbackAnswer>
    ) => Effect.Effect<void, never, Scope.Scope>
  }
>()("@mahalla/plugin/HostCallbacks") {}
