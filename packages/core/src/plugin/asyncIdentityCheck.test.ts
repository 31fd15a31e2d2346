/** A register of async functions, over the one in memory so that it can also be told to misbehave; also one that throws what it knows. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { describe, expect, it } from "vitest"
import { IdentityCheckControl, IdentityCheckPeople, identityCheckSuite } from "../testing/IdentityCheck.suite.ts"
import { memoryIdentityCheck } from "../testing/IdentityCheck.memory.ts"
import { definePluginAsync, Host, IdentityCheck, type Plugin, type PluginError } from "./index.ts"

const host = Layer.succeed(Host, { instance: "test", home: "/nowhere", scratch: "/nowhere", mode: "dev" })
const opened = (plugin: Plugin) => plugin.layer.pipe(Layer.provide(host)) as Layer.Layer<IdentityCheck, PluginError>

const over = (
  register: IdentityCheck["Service"],
  check: (question: Parameters<IdentityCheck["Service"]["check"]>[0]) => Promise<never> | undefined = () => undefined
) =>
  definePluginAsync({
    id: "register",
    apiVersion: 1,
    config: Schema.Struct({}),
    provides: IdentityCheck,
    create: async () => ({
      title: register.title,
      numberTitle: register.numberTitle,
      numberPattern: register.numberPattern,
      needs: register.needs,
      patience: register.patience,
      check: (question, signal) => check(question) ?? Effect.runPromise(register.check(question), { signal })
    })
  })({})

const layer = Layer.effectContext(
  Effect.gen(function* () {
    const memory = yield* Layer.build(memoryIdentityCheck)
    const context = yield* Layer.build(opened(over(Context.get(memory, IdentityCheck))))
    return context.pipe(
      Context.add(IdentityCheckPeople, Context.get(memory, IdentityCheckPeople)),
      Context.add(IdentityCheckControl, Context.get(memory, IdentityCheckControl))
    )
  })
)
identityCheckSuite.run({ describe, it }, { name: "async functions", layer })

describe("register of async functions", () => {
  it("does not know the answer when its author did not foresee something, and repeats nothing of it", async () => {
    const answer = await Effect.runPromise(
      Effect.gen(function* () {
        const memory = yield* Layer.build(memoryIdentityCheck)
        const { known } = Context.get(memory, IdentityCheckPeople)
        const throwing = over(Context.get(memory, IdentityCheck), async ({ claims }) => {
          throw new Error(`${claims.number} is unreadable`)
        })
        const context = yield* Layer.build(opened(throwing))
        return yield* Context.get(context, IdentityCheck).check({
          id: "0198f1d2-0000-7000-8000-000000000001",
          claims: known,
          purpose: "A test"
        })
      }).pipe(Effect.scoped)
    )
    expect(answer.state).toBe("unknown")
    expect(JSON.stringify(answer)).not.toContain("3120790")
  })
})
