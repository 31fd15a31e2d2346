/**
 * Requests that leave the city for an address of the configuration. The name is resolved once, every answer is judged, and only public
 * addresses are reached, and networks that the operator named: an address that was mistyped or changes its mind leads nowhere inside the
 * house. Redirects are not followed.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"

export class OutwardError extends Data.TaggedError("OutwardError")<{
  /** `Forbidden`: never sent, for where it would have gone. `Unanswered`: nobody can say whether it arrived. */
  readonly reason: "Forbidden" | "Unresolved" | "Unanswered"
  readonly message: string
  readonly cause?: unknown
}> {}

export interface OutwardRequest {
  readonly url: string
  /** Default `POST`. A `GET` has an empty body. */
  readonly method?: "GET" | "POST"
  readonly body: string | Uint8Array
  readonly headers: Readonly<Record<string, string>>
  /** Seconds for all of it. Default 15. */
  readonly seconds?: number
}

export interface OutwardAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** The first 64 KiB. */
  readonly body: string
  /** Seconds, where the answer says so. */
  readonly retryAfter: number | undefined
}

export class HostOutward extends Context.Service<
  HostOutward,
  {
    /**
     * Asks and gives the answer, whatever its status. `own`: addresses or networks (CIDR) of what the plugin itself has started; they are
     * reached as if the operator had named them.
     */
    readonly post: (request: OutwardRequest, own?: ReadonlyArray<string>) => Effect.Effect<OutwardAnswer, OutwardError>
  }
>()("@mahalla/plugin/HostOutward") {}
