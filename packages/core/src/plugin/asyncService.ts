/**
 * Carries a port of async functions over into its Effect shape, by the table in `asyncPorts.ts`. Untyped inside: what it reads and
 * makes is typed at both ends, by `AsyncShape` and by the port.
 */
import * as Effect from "effect/Effect"
import type * as Context from "effect/Context"
import * as Stream from "effect/Stream"
import type { Carrier, ErrorFields } from "./asyncPorts.ts"

interface AnyBridge {
  readonly members: { readonly [member: string]: Carrier }
  readonly error: new (fields: ErrorFields) => { readonly _tag: string }
  readonly surprise?: { readonly [member: string]: ((message: string) => unknown) | undefined }
}

type AnyPort = { readonly [member: string]: unknown }
type Method = (...args: ReadonlyArray<unknown>) => unknown

/** An iterable that also aborts when its consumer stops, so that a generator that waits for something wakes up. */
const abortable = (open: (signal: AbortSignal) => AsyncIterable<unknown>): AsyncIterable<unknown> => ({
  [Symbol.asyncIterator]() {
    const controller = new AbortController()
    const inner = open(controller.signal)[Symbol.asyncIterator]()
    return {
      next: () => inner.next(),
      return: async () => {
        controller.abort()
        return (await inner.return?.()) ?? { done: true, value: undefined }
      }
    }
  }
})

/**
 * Stream arguments as iterables, and what ends those that are still being read when the call has ended. An interrupted body must not
 * look like a finished one: it throws at its reader.
 */
const readable = (args: ReadonlyArray<unknown>) => {
  const open = new Set<AsyncIterator<unknown>>()
  let ended = false
  const guarded = (iterator: AsyncIterator<unknown>): AsyncIterator<unknown> => ({
    next: async () => {
      const result = ended ? undefined : await iterator.next()
      if (result === undefined || ended) throw new Error("The call was interrupted while its body was read.")
      return result
    },
    return: async () => (await iterator.return?.()) ?? { done: true, value: undefined }
  })
  const readableArgument = (argument: unknown) => {
    if (!Stream.isStream(argument)) return argument
    const iterable = Stream.toAsyncIterable(argument as Stream.Stream<unknown, unknown>)
    return {
      [Symbol.asyncIterator]: () => {
        const iterator = iterable[Symbol.asyncIterator]()
        open.add(iterator)
        return guarded(iterator)
      }
    }
  }
  return {
    args: args.map(readableArgument),
    close: Effect.promise(async () => {
      ended = true
      for (const iterator of open) await iterator.return?.()
    })
  }
}

/** An object of Effects, functions to Effects and Streams, as one of promises and iterables; they run with the caller's context. */
const promising = (host: AnyPort, context: Context.Context<never>): AnyPort => {
  const run = Effect.runPromiseWith(context)
  const asPromise = (value: unknown): unknown => (Effect.isEffect(value) ? run(value as Effect.Effect<unknown>) : value)
  const member = (value: unknown): unknown =>
    Stream.isStream(value)
      ? Stream.toAsyncIterableWith(value as Stream.Stream<unknown, unknown>, context)
      : typeof value === "function"
        ? (...args: ReadonlyArray<unknown>) => asPromise((value as Method)(...args))
        : value
  return Object.fromEntries(Object.entries(host).map(([name, value]) => [name, member(value)]))
}

const subjectOf = (args: ReadonlyArray<unknown>, operation: string): string => {
  const [first] = args
  if (typeof first === "string") return first
  const id = (first as { readonly id?: unknown } | undefined)?.id
  return typeof id === "string" ? id : operation
}

/** Kind and place of an error without its text, which may hold what must not be logged. */
const placeOf = (cause: unknown): string =>
  cause instanceof Error
    ? [cause.name, ...(cause.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line))].join("\n")
    : typeof cause

export const toService = (bridge: AnyBridge, port: AnyPort): Record<string, unknown> => {
  const tag = new bridge.error({
    reason: "Unavailable",
    operation: "",
    subject: "",
    message: "",
    retryable: true,
    cause: undefined
  })._tag

  const isPortError = (cause: unknown) => (cause as { readonly _tag?: unknown } | undefined)?._tag === tag

  /** The port's own error as it is; anything else with its cause beside a message that repeats nothing of it. */
  const errorOf = (operation: string, subject: string) => (cause: unknown) => {
    if (isPortError(cause)) return cause
    const fields = {
      reason: "Unavailable",
      operation,
      subject,
      message: `The plugin failed in "${operation}" in a way it did not foresee. Try again; if it stays, give its author the cause.`,
      retryable: true,
      cause
    } as const
    return new bridge.error(fields)
  }

  const carry = (name: string, carrier: Carrier): unknown => {
    if (carrier.kind === "plain") return port[name]
    const invoke = (args: ReadonlyArray<unknown>, signal: AbortSignal): unknown => {
      const arity = "arity" in carrier ? carrier.arity : 0
      const padded = Array.from({ length: arity }, (_, index) => args[index])
      return (port[name] as Method).call(port, ...padded, signal)
    }
    const promised = (args: ReadonlyArray<unknown>): Effect.Effect<unknown, unknown> => {
      const surprise = bridge.surprise?.[name]
      const called = Effect.suspend(() => {
        const input = readable(args)
        return Effect.tryPromise({
          try: async (signal) => invoke(input.args, signal),
          catch: (cause) => cause
        }).pipe(Effect.ensuring(input.close))
      })
      return Effect.catch(called, (cause) =>
        surprise !== undefined && !isPortError(cause)
          ? Effect.as(
              Effect.logWarning(`The plugin failed in "${name}" in a way it did not foresee: ${placeOf(cause)}`),
              surprise("The plugin failed in a way it did not foresee, so the outcome is not known.")
            )
          : Effect.fail(errorOf(name, subjectOf(args, name))(cause))
      )
    }
    const streamed = (args: ReadonlyArray<unknown>): Stream.Stream<unknown, unknown> =>
      Stream.suspend(() =>
        Stream.fromAsyncIterable(
          abortable((signal) => invoke(args, signal) as AsyncIterable<unknown>),
          errorOf(name, subjectOf(args, name))
        )
      )
    const subscribed = (args: ReadonlyArray<unknown>) =>
      Effect.acquireRelease(
        Effect.map(promised(args), (iterable) => (iterable as AsyncIterable<unknown>)[Symbol.asyncIterator]()),
        (iterator) => Effect.sync(() => void iterator.return?.().catch(() => undefined))
      ).pipe(
        Effect.map((iterator) =>
          Stream.orDie(Stream.fromAsyncIterable({ [Symbol.asyncIterator]: () => iterator }, (cause) => cause))
        )
      )
    const served = ([host, ...rest]: ReadonlyArray<unknown>) =>
      Effect.flatMap(Effect.context<never>(), (context) =>
        Effect.acquireRelease(promised([promising(host as AnyPort, context), ...rest]), (opened) =>
          Effect.tryPromise(async () => (opened as { readonly close?: () => Promise<void> }).close?.()).pipe(
            Effect.catch(({ cause }) => Effect.logWarning(`"${name}" did not close in order: ${placeOf(cause)}`))
          )
        )
      )
    switch (carrier.kind) {
      case "effect":
        return promised([])
      case "stream":
        return streamed([])
      case "call":
        return (...args: ReadonlyArray<unknown>) => promised(args)
      case "streamCall":
        return (...args: ReadonlyArray<unknown>) => streamed(args)
      case "subscribe":
        return (...args: ReadonlyArray<unknown>) => subscribed(args)
      case "serve":
        return (...args: ReadonlyArray<unknown>) => served(args)
    }
  }
  return Object.fromEntries(
    Object.entries(bridge.members)
      .filter(([name]) => port[name] !== undefined)
      .map(([name, carrier]) => [name, carry(name, carrier)])
  )
}
