/**
 * Commands on their way to devices that are reachable now and then: kept until the device can be reached or the command expires, handed
 * over one at a time and in order.
 *
 * The host hears `sent` before the device hears anything, and what it does not accept (another process has sent it, it was withdrawn) is
 * not handed over: a valve must not be opened twice because two processes knew of it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CommandState, DeviceCommand, IngestHost } from "../../ports/DeviceIngest.ts"

/** Hands one command to a device; what is known of it then, nothing where its connection was lost. */
export type HandOver = (command: DeviceCommand) => Effect.Effect<CommandState | undefined>

/** Whether a command can go this way; asked before the host hears that it was sent. */
export type Takes = (command: DeviceCommand) => boolean

export interface IngestCommands {
  /**
   * The device can be reached, until the function that comes back is called. A later way replaces an earlier one. `takes`: default, commands to
   * the device itself, in no protocol's bytes; a gateway may take those of devices behind it.
   */
  readonly reach: (deviceId: string, handOver: HandOver, takes?: Takes) => () => void
  /** Every device can be reached this way, as through an outside broker; until the function that comes back is called. `takes`: default, all. */
  readonly reachAll: (handOver: HandOver, takes?: Takes) => () => void
  /** What a device says of a command; not heard where this process has not handed that command to that very device, or to it for another. */
  readonly answer: (deviceId: string, id: string, state: CommandState) => Effect.Effect<void>
}

/** Commands that wait here for one device: it must not be flooded when it comes. Others are offered again, perhaps another way takes them. */
const most = 64
/** How long a device that has been handed a command may say nothing before the next one is tried. */
const patience = "30 seconds"

/** How long a way to everybody waits for a device's own connection, at this process or another, to take a command. */
const courtesy = "1 second"

/** Commands whose answers are awaited. */
const mostAwaited = 10_000

interface Way {
  readonly handOver: HandOver
  readonly takes: Takes
}

interface Chosen extends Way {
  /** Who answers there. */
  readonly to: string
  /** It leads to everybody. */
  readonly isShared: boolean
}

interface Post {
  readonly waiting: Array<DeviceCommand>
  busy: boolean
}

export const makeIngestCommands = (host: IngestHost): Effect.Effect<IngestCommands, never, Scope.Scope> =>
  Effect.gen(function* () {
    const posts = new Map<string, Post>()
    const ways = new Map<string, Way>()
    /** Whom each command was handed to, oldest first. */
    const handed = new Map<string, string>()
    const run = yield* FiberSet.makeRuntime<never, void>()

    const tell = (id: string, state: CommandState) =>
      Effect.catch(host.commandState(id, state), (error) =>
        Effect.logWarning(`What became of command ${id} was not heard: ${error.message}`)
      )

    let everywhere: Way | undefined
    /** Which way a command goes, and who answers there; a device that is here itself before its gateway. */
    const wayOf = (command: DeviceCommand | undefined): Chosen | undefined => {
      if (command === undefined) return undefined
      for (const to of [command.deviceId, command.through]) {
        const way = to === undefined ? undefined : ways.get(to)
        if (way?.takes(command) === true) return { ...way, to: to!, isShared: false }
      }
      return everywhere?.takes(command) === true ? { ...everywhere, to: command.deviceId, isShared: true } : undefined
    }

    const postOf = (deviceId: string): Post => {
      const known = posts.get(deviceId)
      if (known !== undefined) return known
      const made: Post = { waiting: [], busy: false }
      posts.set(deviceId, made)
      return made
    }

    const deliver = Effect.fnUntraced(function* (post: Post) {
      for (;;) {
        const command = post.waiting[0]
        const way = wayOf(command)
        if (way === undefined || command === undefined) break
        post.waiting.shift()
        if (command.expiresAt <= (yield* Clock.currentTimeMillis)) continue
        // Of a device that is connected somewhere its connection is the better way.
        if (way.isShared && command.raw === undefined) yield* Effect.sleep(courtesy)
        const accepted = yield* Effect.isSuccess(host.commandState(command.id, { state: "sent" }))
        if (!accepted) continue
        handed.set(command.id, way.to)
        if (handed.size > mostAwaited) handed.delete(handed.keys().next().value!)
        const state = yield* Effect.timeoutOption(way.handOver(command), patience)
        if (state._tag === "None" || state.value === undefined) continue
        if (state.value.state === "queued") handed.delete(command.id)
        yield* tell(command.id, state.value)
      }
    })

    const kick = (deviceId: string, post: Post) => {
      if (post.busy || wayOf(post.waiting[0]) === undefined) return
      post.busy = true
      const ended = Effect.sync(() => {
        post.busy = false
        // Somebody may have come in the very last moment.
        kick(deviceId, post)
        if (post.waiting.length === 0 && !post.busy) posts.delete(deviceId)
      })
      run(Effect.ensuring(deliver(post), ended))
    }

    const accept = (command: DeviceCommand) =>
      Effect.suspend(() => {
        const post = postOf(command.deviceId)
        // Offered again, perhaps by another way.
        const known = post.waiting.findIndex(({ id }) => id === command.id)
        if (known !== -1) post.waiting[known] = command
        else if (post.waiting.length < most) post.waiting.push(command)
        kick(command.deviceId, post)
        return Effect.void
      })

    const forget = Effect.map(Clock.currentTimeMillis, (now) => {
      for (const [deviceId, post] of posts) {
        const left = post.waiting.filter(({ expiresAt }) => expiresAt > now)
        post.waiting.splice(0, post.waiting.length, ...left)
        if (left.length === 0 && !post.busy) posts.delete(deviceId)
        else kick(deviceId, post)
      }
    })

    yield* Effect.forkScoped(Stream.runForEach(host.commands, accept))
    yield* forget.pipe(Effect.delay("1 minute"), Effect.forever, Effect.forkScoped)

    return {
      answer: (deviceId, id, state) =>
        Effect.suspend(() => (handed.get(id) === deviceId ? tell(id, state) : Effect.void)),
      reachAll: (handOver, takes = () => true) => {
        const way = { handOver, takes }
        everywhere = way
        for (const [deviceId, post] of posts) kick(deviceId, post)
        return () => {
          if (everywhere === way) everywhere = undefined
        }
      },
      reach: (deviceId, handOver, takes = (command) => command.deviceId === deviceId && command.raw === undefined) => {
        const way = { handOver, takes }
        ways.set(deviceId, way)
        for (const [other, post] of posts)
          if (other === deviceId || post.waiting[0]?.through === deviceId) kick(other, post)
        return () => {
          if (ways.get(deviceId) === way) ways.delete(deviceId)
        }
      }
    }
  })
