import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import { describe, expect, it } from "vitest"
import { memoryMessenger } from "../testing/index.ts"
import { bridges } from "./asyncPorts.ts"
import { definePlugin, Host, Messenger, Payments, type Plugin, type PluginError } from "./index.ts"

const Config = Schema.Struct({
  sender: Schema.String,
  gateway: Schema.Struct({
    token: Schema.RedactedFromValue(Schema.String.check(Schema.isMinLength(10))),
    retries: Schema.Int.pipe(Schema.withDecodingDefault(Effect.succeed(3)))
  })
})

const seen: Array<typeof Config.Type> = []
const sms = definePlugin({
  id: "@town/sms",
  apiVersion: 1,
  config: Config,
  provides: [Messenger],
  layer: (config) =>
    Layer.effect(
      Messenger,
      Effect.gen(function* () {
        seen.push(config)
        return Context.get(yield* Layer.build(memoryMessenger()), Messenger)
      })
    )
})

const build = (plugin: Plugin) => {
  const host = Layer.succeed(Host, { instance: plugin.instance, home: "/nowhere", scratch: "/nowhere", mode: "dev" })
  return Layer.build(plugin.layer.pipe(Layer.provide(host)) as Layer.Layer<Messenger, PluginError>)
}
const failure = async (plugin: Plugin) => {
  const exit = await Effect.runPromiseExit(Effect.scoped(build(plugin)))
  if (Exit.isSuccess(exit)) throw new Error("it started")
  return {
    error: Cause.squash(exit.cause) as PluginError,
    printed: inspect(exit, { depth: 30 }) + Cause.pretty(exit.cause)
  }
}

describe("configuration of a plugin", () => {
  it("is refused with the path of every wrong key", async () => {
    const plugin = sms({ sender: 4, gateway: { token: "short", retries: 1.5, tokn: "" } } as never, {
      instance: "sms-2"
    })
    const { error } = await failure(plugin)
    expect(error).toMatchObject({
      _tag: "PluginError",
      reason: "InvalidConfig",
      plugin: "@town/sms",
      instance: "sms-2"
    })
    for (const path of ["sender", "gateway.token", "gateway.retries", "gateway.tokn"])
      expect(error.message).toContain(`${path}: `)
  })

  it("never prints a value of it, wrong or right", async () => {
    const wrong = await failure(sms({ sender: "x", gateway: { token: "s3cret", extra: "s3cret" } } as never))
    expect(wrong.printed).not.toContain("s3cret")
    const whole = await failure(sms("s3cret" as never))
    expect(whole.printed).not.toContain("s3cret")
    await Effect.runPromise(Effect.scoped(build(sms({ sender: "x", gateway: { token: "s3cret-s3cret" } }))))
    const config = seen.at(-1)
    expect(inspect(config, { depth: 9 }) + JSON.stringify(config)).not.toContain("s3cret")
    expect(Redacted.value(config?.gateway.token ?? Redacted.make(""))).toBe("s3cret-s3cret")
    expect(config?.gateway.retries).toBe(3)
  })

  it("does not compile with a key of another type", () => {
    // @ts-expect-error -- no sender
    sms({ gateway: { token: "0123456789" } })
    expect(sms.id).toBe("@town/sms")
  })
})

describe("plugin", () => {
  it("can be there twice, each with its own configuration and name", async () => {
    const first = sms({ sender: "CITY", gateway: { token: "0123456789" } })
    const second = sms({ sender: "POLICE", gateway: { token: "9876543210" } }, { instance: "police" })
    expect([first.instance, second.instance]).toEqual(["@town/sms", "police"])
    const services = await Effect.runPromise(
      Effect.scoped(
        Effect.all([build(first), build(second)]).pipe(Effect.map((all) => all.map(Context.get(Messenger))))
      )
    )
    expect(services[0]).not.toBe(services[1])
    expect(seen.slice(-2).map((config) => config.sender)).toEqual(["CITY", "POLICE"])
  })

  it("says which instance did not start, and why", async () => {
    const broken = definePlugin({
      id: "@town/broken",
      apiVersion: 1,
      config: Schema.Struct({}),
      provides: [Messenger],
      layer: () => Layer.effect(Messenger, Effect.fail(new Error("No route to the gateway.")))
    })
    const { error } = await failure(broken({}, { instance: "sms" }))
    expect(error).toMatchObject({ reason: "Failed", instance: "sms" })
    expect(error.message).toContain("No route to the gateway.")
  })

  it("is down when its configuration is not usable", async () => {
    const health = sms({ sender: "x", gateway: { token: "short" } }).health as Effect.Effect<{ status: string }>
    expect((await Effect.runPromise(health)).status).toBe("down")
  })

  it("does not compile when its layer needs more than the host has, or provides less than it says", () => {
    class Undeclared extends Context.Service<Undeclared, { readonly secret: string }>()("test/Undeclared") {}
    definePlugin({
      id: "reaching",
      apiVersion: 1,
      config: Schema.Struct({}),
      provides: [Messenger],
      // @ts-expect-error -- nobody provides Undeclared
      layer: () => Layer.effect(Messenger, Effect.andThen(Undeclared, Effect.never))
    })
    definePlugin({
      id: "promising",
      apiVersion: 1,
      config: Schema.Struct({}),
      provides: [Messenger, Payments],
      // @ts-expect-error -- no Payments
      layer: () => Layer.effect(Messenger, Effect.never)
    })
    expect(true).toBe(true)
  })
})

describe("table of async ports", () => {
  it("does not compile when it forgets a port or a member, or miscounts arguments", () => {
    const { Queue: _, ...others } = bridges
    // @ts-expect-error -- no Queue
    const withoutPort: typeof bridges = others
    const { retry: __, ...members } = bridges.Queue.members
    // @ts-expect-error -- no retry
    const withoutMember: typeof bridges.Queue.members = members
    // @ts-expect-error -- put has three arguments
    const miscounted: typeof bridges.BlobStore.members.put = { kind: "call", arity: 2 }
    // @ts-expect-error -- register is a stream
    const mistaken: typeof bridges.Payments.members.register = { kind: "call", arity: 1 }
    expect([withoutPort, withoutMember, miscounted, mistaken]).toHaveLength(4)
  })
})
