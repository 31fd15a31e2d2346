/**
 * Each port as plain async functions: what an author without Effect writes, and a table that says how every member is carried over. The
 * compiler refuses a port or a member that the table forgets.
 */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as Ports from "../ports/index.ts"
import type { FilingOutcome } from "../ports/Authority.ts"
import type { BlobStoreDerived, BlobStoreRequired } from "../ports/BlobStore.ts"
import type { IngestHost } from "../ports/DeviceIngest.ts"
import type { PaymentOutcome } from "../ports/Payments.ts"
import type { SendOutcome } from "../ports/Messenger.ts"
import type { IdentityAnswer } from "../ports/IdentityCheck.ts"

/** What a port's method is given to call back: its Effects as Promises, its Streams as iterables. */
type AsyncHost<Host> = {
  readonly [Member in keyof Host]: Host[Member] extends Stream.Stream<infer A, unknown, unknown>
    ? AsyncIterable<A>
    : Host[Member] extends (...args: infer P) => Effect.Effect<infer A, unknown, unknown>
      ? (...args: P) => Promise<A>
      : Host[Member]
}

type AsyncValue<T> =
  T extends Stream.Stream<infer A, unknown, unknown> ? AsyncIterable<A> : T extends IngestHost ? AsyncHost<T> : T

/** What was opened for as long as a scope lives; `close` is called at its end. */
type Opened<A> = A & { readonly close?: () => Promise<void> }

/** Arguments in their places, absent ones as `undefined`, and a signal at the end. */
type AsyncArguments<P extends ReadonlyArray<unknown>> = number extends P["length"]
  ? never
  : P extends readonly []
    ? [signal: AbortSignal]
    : P extends readonly [infer Head, ...infer Tail]
      ? [AsyncValue<Head>, ...AsyncArguments<Tail>]
      : P extends readonly [(infer Head)?, ...infer Tail]
        ? [AsyncValue<Head> | undefined, ...AsyncArguments<Tail>]
        : never

type AsyncMember<T> =
  T extends Stream.Stream<infer A, unknown, unknown>
    ? (signal: AbortSignal) => AsyncIterable<A>
    : T extends Effect.Effect<infer A, unknown, unknown>
      ? (signal: AbortSignal) => Promise<AsyncValue<A>>
      : T extends (...args: infer P) => infer R
        ? R extends Stream.Stream<infer A, unknown, unknown>
          ? (...args: AsyncArguments<P>) => AsyncIterable<A>
          : R extends Effect.Effect<Stream.Stream<infer A, unknown, unknown>, unknown, unknown>
            ? (...args: AsyncArguments<P>) => Promise<AsyncIterable<A>>
            : R extends Effect.Effect<infer A, unknown, Scope.Scope>
              ? (...args: AsyncArguments<P>) => Promise<[R] extends [Effect.Effect<A, unknown>] ? A : Opened<A>>
              : T
        : T

/**
 * A port's contract without Effect: an Effect becomes a Promise, a Stream an AsyncIterable, also among the arguments; plain values stay.
 * The last argument of every method is an AbortSignal, aborted when nobody waits any more. Streams of a subscription end when their
 * iterator's `return` is called; what was opened for a scope may have a `close`, which is called at its end.
 */
export type AsyncShape<Shape> = {
  readonly [Member in keyof Shape]: AsyncMember<Exclude<Shape[Member], undefined>>
}

/** What stands behind a tag; of a blob store only the required methods must be written. */
export type ShapeOf<Tag> = Tag extends typeof Ports.BlobStore
  ? BlobStoreRequired & Partial<BlobStoreDerived>
  : Tag extends Context.Key<infer _, infer Shape>
    ? Shape
    : never

/** How a member is carried over. For functions: how many arguments it has, optional ones included. */
export type Carrier =
  | { readonly kind: "plain" | "effect" | "stream" }
  | { readonly kind: "call" | "streamCall" | "subscribe" | "serve"; readonly arity: number }

type Length<P extends ReadonlyArray<unknown>> = Required<P>["length"]
type CarrierOf<T> =
  T extends Stream.Stream<unknown, unknown, unknown>
    ? { readonly kind: "stream" }
    : T extends Effect.Effect<unknown, unknown, unknown>
      ? { readonly kind: "effect" }
      : T extends (...args: infer P) => infer R
        ? R extends Stream.Stream<unknown, unknown, unknown>
          ? { readonly kind: "streamCall"; readonly arity: Length<P> }
          : R extends Effect.Effect<Stream.Stream<unknown, unknown, unknown>, unknown, unknown>
            ? { readonly kind: "subscribe"; readonly arity: Length<P> }
            : R extends Effect.Effect<unknown, unknown>
              ? { readonly kind: "call"; readonly arity: Length<P> }
              : R extends Effect.Effect<unknown, unknown, Scope.Scope>
                ? { readonly kind: "serve"; readonly arity: Length<P> }
                : { readonly kind: "plain" }
        : { readonly kind: "plain" }

type PortName = {
  [Name in keyof typeof Ports]: (typeof Ports)[Name] extends Context.Key<infer _, infer _> ? Name : never
}[keyof typeof Ports]

export interface ErrorFields {
  readonly reason: "Unavailable"
  readonly operation: string
  readonly subject: string
  readonly message: string
  readonly retryable: boolean
  readonly cause: unknown
}

interface Bridge<Tag> {
  readonly tag: Tag
  readonly members: { readonly [Member in keyof ShapeOf<Tag>]-?: CarrierOf<Exclude<ShapeOf<Tag>[Member], undefined>> }
  /** Makes the port's error for whatever an author throws that is none. */
  readonly error: new (fields: ErrorFields) => { readonly _tag: string }
  /** Methods of which a surprise proves nothing: it is this outcome, not an error. */
  readonly surprise?: { readonly [Member in keyof ShapeOf<Tag>]?: (message: string) => unknown }
  /** Adds what the author has left out. */
  readonly complete?: (service: ShapeOf<Tag>) => unknown
}

const plain = { kind: "plain" } as const
const effect = { kind: "effect" } as const
const stream = { kind: "stream" } as const
const call = <const Arity extends number>(arity: Arity) => ({ kind: "call", arity }) as const
const streamCall = <const Arity extends number>(arity: Arity) => ({ kind: "streamCall", arity }) as const
const subscribe = <const Arity extends number>(arity: Arity) => ({ kind: "subscribe", arity }) as const
const serve = <const Arity extends number>(arity: Arity) => ({ kind: "serve", arity }) as const

export const bridges: { readonly [Name in PortName]: Bridge<(typeof Ports)[Name]> } = {
  Authority: {
    tag: Ports.Authority,
    members: { kinds: plain, file: call(1), status: call(1), notices: stream },
    error: Ports.AuthorityError,
    surprise: { file: (message): FilingOutcome => ({ state: "unknown", message }) }
  },
  BlobStore: {
    tag: Ports.BlobStore,
    members: {
      capabilities: plain,
      put: call(3),
      get: streamCall(2),
      head: call(1),
      delete: call(1),
      list: call(2),
      exists: call(1),
      compose: call(3),
      presign: call(2),
      check: effect
    },
    error: Ports.BlobStoreError,
    complete: Ports.BlobStore.make
  },
  Detector: { tag: Ports.Detector, members: { model: plain, detect: call(1) }, error: Ports.DetectorError },
  DeviceIngest: {
    tag: Ports.DeviceIngest,
    members: { transport: plain, serve: serve(1) },
    error: Ports.DeviceIngestError
  },
  Encoder: {
    tag: Ports.Encoder,
    members: { model: plain, probe: call(1), transcode: call(1), poster: call(1), frames: call(1) },
    error: Ports.EncoderError
  },
  EventBus: {
    tag: Ports.EventBus,
    members: { publish: call(2), subscribe: subscribe(1) },
    error: Ports.EventBusError
  },
  IdentityCheck: {
    tag: Ports.IdentityCheck,
    members: { title: plain, numberTitle: plain, numberPattern: plain, needs: plain, patience: plain, check: call(1) },
    error: Ports.IdentityCheckError,
    surprise: { check: (message): IdentityAnswer => ({ state: "unknown", message }) }
  },
  Limiter: { tag: Ports.Limiter, members: { take: call(1) }, error: Ports.LimiterError },
  Messenger: {
    tag: Ports.Messenger,
    members: { channel: plain, send: call(1), receipts: stream, outbox: call(1) },
    error: Ports.MessengerError,
    surprise: { send: (message): SendOutcome => ({ state: "unknown", message }) }
  },
  Payments: {
    tag: Ports.Payments,
    members: {
      payees: plain,
      currency: plain,
      quote: call(1),
      pay: call(1),
      status: call(1),
      register: streamCall(1),
      reverse: call(1),
      notices: stream,
      bindCard: call(1),
      boundCard: call(1),
      cardBelongsTo: call(2)
    },
    error: Ports.PaymentsError,
    surprise: {
      pay: (message): PaymentOutcome => ({ state: "unknown", message }),
      reverse: (message): PaymentOutcome => ({ state: "unknown", message })
    }
  },
  Queue: {
    tag: Ports.Queue,
    members: {
      transactional: plain,
      send: call(1),
      receive: call(1),
      wakeups: stream,
      extend: call(2),
      complete: call(1),
      retry: call(2),
      release: call(1),
      bury: call(2),
      deadLetters: call(1),
      replay: call(1),
      discard: call(1),
      depth: effect
    },
    error: Ports.QueueError
  },
  Storage: {
    tag: Ports.Storage,
    members: { settings: plain, health: effect, backup: call(1), restore: call(1) },
    error: Ports.StorageError
  }
}

/** Tags that a plugin of async functions can provide. */
export type AsyncPortTag = (typeof Ports)[PortName]
