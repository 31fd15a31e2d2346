import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describe, expect, it } from "vitest"
import {
  IdentityCheck,
  type IdentityAnswer,
  IdentityCheckError,
  type IdentityQuestion
} from "../ports/IdentityCheck.ts"
import { memoryIdentityCheck } from "./IdentityCheck.memory.ts"
import { IdentityCheckControl, IdentityCheckPeople, identityCheckSuite } from "./IdentityCheck.suite.ts"

identityCheckSuite.run({ describe, it }, { name: "memory", layer: memoryIdentityCheck })

type Service = IdentityCheck["Service"]
type Break = (service: Service) => Partial<Service>

/** The fake in memory with one thing spoiled. */
const broken = (spoil: Break) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const service = yield* IdentityCheck
      return Context.make(IdentityCheck, IdentityCheck.of({ ...service, ...spoil(service) })).pipe(
        Context.add(IdentityCheckPeople, yield* IdentityCheckPeople),
        Context.add(IdentityCheckControl, yield* IdentityCheckControl)
      )
    })
  ).pipe(Layer.provide(memoryIdentityCheck))

const yes: IdentityAnswer = { state: "confirmed", assurance: "high", reference: "somebody" }
const no: IdentityAnswer = { state: "not-confirmed", reason: "no-match" }
const error = (reason: "Unavailable" | "InvalidRequest", message = "") =>
  new IdentityCheckError({ reason, operation: "check", subject: "", message, retryable: reason === "Unavailable" })

const map =
  (change: (answer: IdentityAnswer, asked: IdentityQuestion) => IdentityAnswer): Break =>
  (service) => ({ check: (asked) => Effect.map(service.check(asked), (answer) => change(answer, asked)) })
/** Says something else than "unknown" where the register's words were these. */
const unknownBecomes = (about: RegExp, answer: IdentityAnswer): Break =>
  map((real) => (real.state === "unknown" && about.test(real.message) ? answer : real))
/** Takes what the port must refuse. */
const lenient =
  (about: RegExp): Break =>
  (service) => ({
    check: (asked) =>
      Effect.catch(service.check(asked), (wrong) =>
        about.test(wrong.message) ? Effect.succeed(no) : Effect.fail(wrong)
      )
  })
const refusalBecomes =
  (reason: string): Break =>
  (service) => ({
    check: (asked) =>
      Effect.mapError(service.check(asked), (wrong) =>
        wrong.reason === reason ? error(reason === "Unavailable" ? "InvalidRequest" : "Unavailable") : wrong
      )
  })

const breaks: Record<string, Break> = {
  "says what it is called, what it needs and how long it waits": () => ({ patience: 600_000 }),
  "confirms who claims what the register has, and says how sure it is": map((answer) =>
    answer.state === "confirmed" ? no : answer
  ),
  "tells nothing but its answer": map((answer, asked) =>
    answer.state === "confirmed" ? { ...answer, reference: `citizen ${asked.claims.number}` } : answer
  ),
  "names a person always alike, and two people differently": (service) => {
    let call = 0
    return {
      check: (asked) => Effect.map(service.check(asked), () => ({ ...yes, reference: `answer ${++call}` }))
    }
  },
  "does not confirm a number that nobody has": () => ({ check: () => Effect.succeed(yes) }),
  "does not confirm somebody's number with other data, and does not tell that it knows the number": map(
    (answer, asked) => (asked.claims.birthDate?.startsWith("1991") ? { ...no, reason: "not-valid" } : answer)
  ),
  "does not vouch for somebody who is gone": map((answer) =>
    answer.state === "not-confirmed" && answer.reason === "not-valid" ? yes : answer
  ),
  "gives a repeat the answer of the first call": (service) => {
    const seen = new Set<string>()
    return {
      check: (asked) =>
        seen.has(asked.id)
          ? Effect.fail(error("InvalidRequest", "Asked before."))
          : Effect.tap(service.check(asked), () => Effect.sync(() => seen.add(asked.id)))
    }
  },
  "gives twenty who ask at once under one id one answer": (service) => {
    let running = 0
    return {
      check: (asked) =>
        Effect.suspend(() =>
          ++running > 1
            ? Effect.succeed({ state: "unknown", message: "Busy." } as const)
            : Effect.delay(service.check(asked), 5)
        )
    }
  },
  "keeps people apart who are asked about at once": (service) => {
    let last: IdentityQuestion | undefined
    return {
      check: (asked) =>
        Effect.suspend(() => {
          last = asked
          return Effect.delay(
            Effect.suspend(() => service.check(last ?? asked)),
            5
          )
        })
    }
  },
  "never gives the answer about one person to a question about another under its id": (service) => {
    const answers = new Map<string, IdentityAnswer>()
    return {
      check: (asked) =>
        Effect.suspend(() => {
          const before = answers.get(asked.id)
          return before === undefined
            ? Effect.tap(service.check(asked), (answer) => Effect.sync(() => answers.set(asked.id, answer)))
            : Effect.succeed(before)
        })
    }
  },
  "answers after a call that was interrupted": (service) => {
    const begun = new Set<string>()
    return {
      check: (asked) =>
        begun.has(asked.id)
          ? Effect.fail(error("Unavailable", "In progress."))
          : Effect.andThen(
              Effect.sync(() => begun.add(asked.id)),
              Effect.delay(service.check(asked), 5)
            )
    }
  },
  "refuses to be told less than it needs": lenient(/needs it/),
  "refuses to be told more than it needs": lenient(/does not need it/),
  "refuses a number that is not in its form": lenient(/no number/),
  "refuses a birthday that no calendar has": lenient(/Give a day/),
  "refuses an id that is no UUID and a purpose that is none": lenient(/purpose/),
  "keeps the person out of its errors": (service) => ({
    check: (asked) =>
      Effect.mapError(
        service.check(asked),
        () =>
          new IdentityCheckError({
            reason: "InvalidRequest",
            operation: "check",
            subject: asked.id,
            message: "No such number.",
            retryable: false,
            cause: new Error(`HTTP 400: ${asked.claims.number}`)
          })
      )
  }),
  "calls an answer lost before the question was looked at unknown": unknownBecomes(/lost/, no),
  "calls a lost answer unknown": unknownBecomes(/lost/, yes),
  "calls a failure on the register's side unknown": unknownBecomes(/failed/, no),
  "calls an unreadable answer unknown": unknownBecomes(/could not be read/, no),
  "calls an answer that is something else unknown": unknownBecomes(/something else/, no),
  "calls an answer about another question unknown": unknownBecomes(/another question/, yes),
  "calls a question that is not decided yet unknown": unknownBecomes(/not decided/, no),
  "calls an answer past its patience unknown, and waits no longer": (service) => ({
    check: (asked) =>
      Effect.flatMap(service.check(asked), (answer) =>
        answer.state === "unknown" ? Effect.never : Effect.succeed(answer)
      )
  }),
  "says RateLimited when it may not ask now": refusalBecomes("RateLimited"),
  "says Unavailable when the register is closed": refusalBecomes("Unavailable"),
  "says Unauthorized when the register does not know us": refusalBecomes("Unauthorized")
}

describe("IdentityCheck suite", () => {
  it("has a broken register for every rule", () => {
    expect(Object.keys(breaks).sort()).toEqual(identityCheckSuite.rules.map((rule) => rule.name).sort())
  })
  for (const [rule, spoil] of Object.entries(breaks))
    it(`notices a register that breaks: ${rule}`, async () => {
      expect(await identityCheckSuite.verdict(rule, broken(spoil))).toBe("broken")
    })
  it("leaves out what needs people or a hand on the register's side, with the reason", async () => {
    const alone = Layer.effectContext(
      Effect.map(IdentityCheck, (service) => Context.make(IdentityCheck, service))
    ).pipe(Layer.provide(memoryIdentityCheck))
    for (const { name } of identityCheckSuite.rules)
      expect([name, await identityCheckSuite.verdict(name, alone)]).toEqual([name, "skipped"])
  })
})
