import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { StandardSchemaV1 } from "effect/StandardSchema"
import { randomUUID } from "node:crypto"
import { createReadStream, createWriteStream, mkdtempSync } from "node:fs"
import { rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pipeline } from "node:stream/promises"
import { describe, expect, it } from "vitest"
import {
  blobStoreSuite,
  EventBusControl,
  eventBusSuite,
  memoryEventBus,
  memoryMessenger,
  memoryPayments,
  MessengerControl,
  messengerSuite,
  PaymentsControl,
  paymentsSuite
} from "../testing/index.ts"
import {
  BlobStore,
  BlobStoreError,
  definePluginAsync,
  EventBus,
  Host,
  Messenger,
  Payments,
  PluginError,
  type AsyncPort,
  type Plugin
} from "./index.ts"

const nothing = Schema.Struct({})
const host = Layer.succeed(Host, { instance: "test", home: "/nowhere", scratch: "/nowhere", mode: "dev" })
const opened = <Id>(plugin: Plugin) => plugin.layer.pipe(Layer.provide(host)) as Layer.Layer<Id, PluginError>

/** As an author writes it who has never seen Effect: bodies in files, what is known of them in a map. */
class Shelf implements AsyncPort<typeof BlobStore> {
  readonly capabilities = { presign: false, shared: false }
  private readonly blobs = new Map<
    string,
    { readonly path: string; readonly size: number; readonly contentType: string }
  >()
  private readonly folder = mkdtempSync(join(tmpdir(), "mahalla-shelf-"))

  async put(
    key: string,
    body: AsyncIterable<Uint8Array>,
    options?: { readonly contentType?: string; readonly ifAbsent?: boolean }
  ) {
    const path = join(this.folder, randomUUID())
    await pipeline(body, createWriteStream(path)).catch(async (error: unknown) => {
      await rm(path, { force: true })
      throw error
    })
    const { size } = await stat(path)
    if (options?.ifAbsent === true && this.blobs.has(key)) throw this.failure("AlreadyExists", "put", key)
    const contentType = options?.contentType ?? "application/octet-stream"
    this.blobs.set(key, { path, size, contentType })
    return { key, size, contentType }
  }

  async *get(key: string, range?: { readonly start: number; readonly end?: number }): AsyncGenerator<Uint8Array> {
    const { path, size } = this.find("get", key)
    if (range !== undefined && range.start >= size) throw this.failure("InvalidRange", "get", key)
    yield* createReadStream(path, range) as AsyncIterable<Uint8Array>
  }

  async head(key: string) {
    const { size, contentType } = this.find("head", key)
    return { key, size, contentType }
  }

  async delete(key: string) {
    this.blobs.delete(key)
  }

  async list(prefix: string, options?: { readonly cursor?: string; readonly limit?: number }) {
    const keys = [...this.blobs.keys()].filter((key) => key.startsWith(prefix) && key > (options?.cursor ?? "")).sort()
    const page = keys.slice(0, options?.limit)
    const items = page.map((key) => ({ key, size: this.blobs.get(key)?.size ?? 0 }))
    const cursor = page.at(-1)
    return cursor === undefined || page.length === keys.length ? { items } : { items, cursor }
  }

  async close() {
    await rm(this.folder, { recursive: true })
  }

  private find(operation: string, key: string) {
    const blob = this.blobs.get(key)
    if (blob === undefined) throw this.failure("NotFound", operation, key)
    return blob
  }

  private failure(reason: "NotFound" | "AlreadyExists" | "InvalidRange", operation: string, subject: string) {
    return new BlobStoreError({ reason, operation, subject, message: "Check the key.", retryable: false })
  }
}

const shelf = definePluginAsync({
  id: "shelf",
  apiVersion: 1,
  config: nothing,
  provides: BlobStore,
  create: async () => new Shelf()
})

blobStoreSuite.run({ describe, it }, { name: "async functions", layer: opened<BlobStore>(shelf({})) })

const run = Effect.runPromise

/** A rail of async functions over the one in memory, so that it can also be told to misbehave. */
const asyncPayments = Layer.effectContext(
  Effect.gen(function* () {
    const memory = yield* Layer.build(memoryPayments())
    const rail = Context.get(memory, Payments)
    const plugin = definePluginAsync({
      id: "rail",
      apiVersion: 1,
      config: nothing,
      provides: Payments,
      create: async () => ({
        payees: rail.payees,
        currency: rail.currency,
        quote: (request) => run(rail.quote(request)),
        pay: (request, signal) => Effect.runPromise(rail.pay(request), { signal }),
        status: (id) => run(rail.status(id)),
        register: (day) => Stream.toAsyncIterable(rail.register(day))
      })
    })
    const context = yield* Layer.build(opened<Payments>(plugin({})))
    return Context.add(context, PaymentsControl, Context.get(memory, PaymentsControl))
  })
)
paymentsSuite.run({ describe, it }, { name: "async functions", layer: asyncPayments })

const asyncMessenger = Layer.effectContext(
  Effect.gen(function* () {
    const memory = yield* Layer.build(memoryMessenger())
    const { send, outbox, channel } = Context.get(memory, Messenger)
    const plugin = definePluginAsync({
      id: "channel",
      apiVersion: 1,
      config: nothing,
      provides: Messenger,
      create: async () => ({
        channel,
        send: (message) => run(send(message)),
        outbox: (query) => run(outbox?.(query) ?? Effect.succeed([])),
        receipts: async function* (signal) {
          await new Promise((resolve) => signal.addEventListener("abort", resolve))
        }
      })
    })
    const context = yield* Layer.build(opened<Messenger>(plugin({})))
    return Context.add(context, MessengerControl, Context.get(memory, MessengerControl))
  })
)
messengerSuite.run({ describe, it }, { name: "async functions", layer: asyncMessenger })

const asyncBus = Layer.effectContext(
  Effect.gen(function* () {
    const memory = yield* Layer.build(memoryEventBus())
    const bus = Context.get(memory, EventBus)
    const plugin = definePluginAsync({
      id: "bus",
      apiVersion: 1,
      config: nothing,
      provides: EventBus,
      create: async () => ({
        publish: (channel, body) => run(bus.publish(channel, body)),
        subscribe: async (channel) => {
          const scope = Scope.makeUnsafe()
          const signals = await run(Scope.provide(bus.subscribe(channel), scope))
          const iterator = Stream.toAsyncIterable(signals)[Symbol.asyncIterator]()
          return {
            [Symbol.asyncIterator]: () => ({
              next: () => iterator.next(),
              return: async () => {
                await run(Scope.close(scope, Exit.void))
                return iterator.return?.() ?? { done: true, value: undefined }
              }
            })
          }
        }
      })
    })
    const context = yield* Layer.build(opened<EventBus>(plugin({})))
    return Context.add(context, EventBusControl, Context.get(memory, EventBusControl))
  })
)
eventBusSuite.run({ describe, it }, { name: "async functions", layer: asyncBus })

const request = {
  id: "0198f5d0-0000-7000-8000-000000000001",
  payee: { kind: "phone", value: "+998901234567" },
  money: { amount: 1n, currency: "UZS" },
  memo: ""
} as const

/** A rail whose every method is replaced by `change`, or throws. */
const rail = (change: Partial<AsyncPort<typeof Payments>>) =>
  definePluginAsync({
    id: "rail",
    apiVersion: 1,
    config: nothing,
    provides: Payments,
    create: async () => {
      const surprise = async () => {
        throw new TypeError("socket closed for +998901234567")
      }
      return {
        payees: ["phone"] as const,
        currency: "UZS",
        quote: surprise,
        pay: surprise,
        status: surprise,
        register: async function* () {
          throw new TypeError("half a line")
        },
        ...change
      }
    }
  })({})
const withRail = <A, E>(plugin: Plugin, use: (payments: Payments["Service"]) => Effect.Effect<A, E>) =>
  run(Effect.flatMap(Payments, use).pipe(Effect.provide(opened<Payments>(plugin))))

describe("plugin of async functions", () => {
  it("turns a surprise into Unavailable, with the cause and without its text", async () => {
    const error = await withRail(rail({}), (payments) => Effect.flip(payments.status(request.id)))
    expect(error).toMatchObject({
      _tag: "PaymentsError",
      reason: "Unavailable",
      operation: "status",
      subject: request.id
    })
    expect(error.cause).toBeInstanceOf(TypeError)
    expect(error.message).not.toContain("998")
    const broken = await withRail(rail({}), (payments) =>
      Effect.flip(Stream.runCollect(payments.register("2026-11-20")))
    )
    expect(broken).toMatchObject({ reason: "Unavailable", subject: "2026-11-20" })
  })

  it("calls a payment unknown when it ends in a surprise", async () => {
    const outcome = await withRail(rail({}), (payments) => payments.pay(request))
    expect(outcome.state).toBe("unknown")
  })

  it("tells its code when nobody waits any more", async () => {
    let aborted = false
    const plugin = rail({
      pay: (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            aborted = true
            reject(new Error("aborted"))
          })
        })
    })
    await withRail(plugin, (payments) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(payments.pay(request), { startImmediately: true })
        yield* Effect.sleep(10)
        yield* Fiber.interrupt(fiber)
      })
    )
    expect(aborted).toBe(true)
  })

  it("never shows an interrupted body as a finished one", async () => {
    const seen: Array<string> = []
    class Watching extends Shelf {
      override async put(key: string, body: AsyncIterable<Uint8Array>) {
        try {
          for await (const part of body) seen.push(`${part.length}`)
          seen.push("finished")
        } catch {
          seen.push("failed")
        }
        return { key, size: 0, contentType: "" }
      }
    }
    const plugin = definePluginAsync({
      id: "watching",
      apiVersion: 1,
      config: nothing,
      provides: BlobStore,
      create: async () => new Watching()
    })({})
    await run(
      Effect.gen(function* () {
        const blobs = yield* BlobStore
        const body = Stream.concat(Stream.make(new Uint8Array(3)), Stream.never)
        const fiber = yield* Effect.forkChild(blobs.put("a", body))
        yield* Effect.sleep(20)
        yield* Fiber.interrupt(fiber)
        yield* Effect.sleep(20)
      }).pipe(Effect.provide(opened<BlobStore>(plugin)))
    )
    expect(seen).toEqual(["3", "failed"])
  })

  it("is closed once, and reports its own health", async () => {
    const said: Array<string> = []
    class Closing extends Shelf {
      override async close() {
        await super.close()
        said.push("closed")
      }
      async health() {
        return { status: "degraded", detail: "half full" } as const
      }
    }
    const plugin = definePluginAsync({
      id: "closing",
      apiVersion: 1,
      config: nothing,
      provides: BlobStore,
      create: async (_, { mode }) => {
        said.push(mode)
        return new Closing()
      }
    })({})
    const health = await run((plugin.health as Effect.Effect<unknown>).pipe(Effect.provide(opened<BlobStore>(plugin))))
    expect(health).toEqual({ status: "degraded", detail: "half full" })
    expect(said).toEqual(["dev", "closed"])
  })

  it("does not start when create rejects, and says why", async () => {
    const plugin = definePluginAsync({
      id: "broken",
      apiVersion: 1,
      config: nothing,
      provides: BlobStore,
      create: async (): Promise<Shelf> => {
        throw new Error("The folder is read-only.")
      }
    })({})
    const exit = await Effect.runPromiseExit(Effect.scoped(Layer.build(opened<BlobStore>(plugin))))
    const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
    expect(error).toBeInstanceOf(PluginError)
    expect((error as PluginError).message).toContain("The folder is read-only.")
  })

  it("takes a Standard Schema, and names the path of a wrong key", async () => {
    const config: StandardSchemaV1<{ deep: { size: number } }, { deep: { size: number } }> = {
      "~standard": {
        version: 1,
        vendor: "by hand",
        validate: (value) =>
          typeof (value as { deep?: { size?: unknown } }).deep?.size === "number"
            ? { value: value as { deep: { size: number } } }
            : { issues: [{ message: "expected a number", path: ["deep", { key: "size" }] }] }
      }
    }
    const plugin = definePluginAsync({
      id: "standard",
      apiVersion: 1,
      config,
      provides: BlobStore,
      create: async ({ deep }) => {
        expect(deep.size).toBe(3)
        return new Shelf()
      }
    })
    await run(Effect.scoped(Layer.build(opened<BlobStore>(plugin({ deep: { size: 3 } })))))
    const wrong = plugin({ deep: { size: "3" as never } })
    const error = await run(Effect.flip(Effect.scoped(Layer.build(opened<BlobStore>(wrong)))))
    expect(error.message).toContain("deep.size: expected a number")
  })

  it("does not compile without a method, or with one of another shape", () => {
    definePluginAsync({
      id: "rail",
      apiVersion: 1,
      config: nothing,
      provides: Payments,
      // @ts-expect-error -- no status
      create: async () => ({
        payees: ["phone"] as const,
        currency: "UZS",
        quote: async () => ({ fee: { amount: 0n, currency: "UZS" } }),
        pay: async () => ({ state: "pending" }) as const,
        register: async function* () {}
      })
    })
    const wrong = async () => {
      const store = new Shelf()
      return { ...store, list: async () => 3 }
    }
    definePluginAsync({
      id: "shelf",
      apiVersion: 1,
      config: nothing,
      provides: BlobStore,
      // @ts-expect-error -- list is no page
      create: wrong
    })
    expect(true).toBe(true)
  })
})
