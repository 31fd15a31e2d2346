/**
 * One channel that carries a message to one person: SMS, e-mail, push, or the outbox of a new city.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { Money } from "./Payments.ts"
import { PortError } from "./PortError.ts"

export type MessengerReason =
  | "InvalidRequest"
  | "Unauthorized"
  /** Nothing was handed over; try again. */
  | "Unavailable"
  | "RateLimited"

export class MessengerError extends PortError("MessengerError")<MessengerReason> {}

export interface Message {
  /** Ours, a UUID; a repeat with the same id is sent at most once where the channel can tell, and another text under it is `InvalidRequest`. */
  readonly id: string
  /** Whose message it is: a channel that keeps messages shows it to this tenant's operators only. */
  readonly tenantId?: string
  /** E.164, an e-mail address or a push token, as the channel needs it. */
  readonly to: string
  /** For channels that have one. */
  readonly subject?: string
  /** Plain text. */
  readonly text: string
  /** The same for channels that show it; others send `text`. */
  readonly html?: string
  /** Where a tap leads, for channels that have one. */
  readonly link?: string
  /** Address that ends such messages with one POST (RFC 8058), for channels that have a place for it. */
  readonly unsubscribe?: string
  /** BCP 47. */
  readonly language: string
  /** `code`: a one-time code, worthless after a few minutes and never logged. */
  readonly class: "code" | "notice" | "bulk"
  /** Epoch milliseconds after which it must not be delivered; sent later than that it is refused with the code `expired`. */
  readonly expiresAt?: number
}

export type SendOutcome =
  /** `parts`: messages that it counts as. `cost`: what the channel says it costs. */
  | { readonly state: "accepted"; readonly reference?: string; readonly parts?: number; readonly cost?: Money }
  /** The channel says finally no: a bad address, a blocked recipient. `gone`: nothing will ever arrive at this address. */
  | { readonly state: "refused"; readonly code: string; readonly message: string; readonly gone?: boolean }
  /** The answer was lost. */
  | { readonly state: "unknown"; readonly message: string }

/** May come before the send answer, twice, or never. */
export interface DeliveryReceipt {
  readonly id: string
  readonly state: "delivered" | "failed" | "expired"
  readonly code?: string
  /** As in `SendOutcome`, where it is known only now. */
  readonly cost?: Money
  /** Epoch milliseconds. */
  readonly at: number
}

/** A message that a channel keeps for people to read, and when it was accepted (epoch milliseconds). */
export type KeptMessage = Message & { readonly at: number }

export interface OutboxQuery {
  /** Only messages of this tenant. */
  readonly tenantId?: string
  /** Only messages to this address. */
  readonly to?: string
  /** Id of the last message already seen: the oldest `limit` after it. Without it: the newest `limit`. Both in order of acceptance. */
  readonly after?: string
  /** 1–500, default 50. */
  readonly limit?: number
}

export class Messenger extends Context.Service<
  Messenger,
  {
    readonly channel: "sms" | "email" | "push" | "telegram" | "outbox"
    readonly send: (message: Message) => Effect.Effect<SendOutcome, MessengerError>
    /** Never ends by itself; empty for channels without receipts. */
    readonly receipts: Stream.Stream<DeliveryReceipt, MessengerError>
    /**
     * Only channels that keep messages for people to read, as the outbox of a new city; absent where messages really leave. Expired
     * messages are not among them.
     */
    readonly outbox?: (query: OutboxQuery) => Effect.Effect<ReadonlyArray<KeptMessage>, MessengerError>
  }
>()("@mahalla/ports/Messenger") {}

/**
 * What makes a message unfit for any channel, in words for the `InvalidRequest`; undefined when it is fit. Neither address nor text is
 * repeated in them.
 */
export const messageMistake = (message: Message): string | undefined => {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(message.id)) return "The id must be a UUID."
  if (message.text === "") return "The text is empty."
  if (message.to.trim() === "" || /[\u0000-\u001f\u007f]/.test(message.to))
    return "The address is empty or has control characters."
  return undefined
}
