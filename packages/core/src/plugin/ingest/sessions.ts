/**
 * Who is connected through a transport. The host is asked about each session's credential again within every minute, and hears of
 * each session's end.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { DeviceCredential, DeviceIngestError, DeviceSession, IngestHost } from "../../ports/DeviceIngest.ts"

export interface IngestSessions {
  /** Lets a device in. `revoked` is called once, when its credential is no longer good; the transport then closes the connection. */
  readonly open: (credential: DeviceCredential, revoked: () => void) => Effect.Effect<DeviceSession, DeviceIngestError>
  /** The connection has ended; without effect for one that has ended before. */
  readonly close: (session: DeviceSession) => Effect.Effect<void>
  readonly size: () => number
}

/** Shorter than the minute that the port grants, so that a slow host does not exceed it. */
const interval = "45 seconds"

/** Sessions that are open at the scope's end are closed. */
export const makeIngestSessions = (host: IngestHost): Effect.Effect<IngestSessions, never, Scope.Scope> =>
  Effect.gen(function* () {
    const open = new Map<DeviceSession, () => void>()

    const close = (session: DeviceSession) =>
      Effect.suspend(() => (open.delete(session) ? host.closed(session) : Effect.void))

    const renew = (session: DeviceSession) =>
      Effect.catch(host.renew(session), ({ reason }) =>
        // A host that is away has revoked nothing.
        reason === "Unauthorized" ? Effect.sync(() => open.get(session)?.()) : Effect.void
      )

    yield* Effect.addFinalizer(() => Effect.forEach([...open.keys()], close, { concurrency: 16, discard: true }))
    yield* Effect.suspend(() => Effect.forEach([...open.keys()], renew, { concurrency: 16, discard: true })).pipe(
      Effect.catchCause((cause) => Effect.logWarning("Sessions of devices could not be renewed", cause)),
      Effect.delay(interval),
      Effect.forever,
      Effect.forkScoped
    )

    return {
      open: (credential, revoked) =>
        Effect.tap(host.authenticate(credential), (session) => Effect.sync(() => open.set(session, revoked))),
      close,
      size: () => open.size
    }
  })
