/**
 * What every register of people must keep. It needs somebody to ask about: a layer that also provides `IdentityCheckPeople`. Rules about
 * lost, late and unreadable answers need a register that can be told to misbehave: `IdentityCheckControl`. Without it they are left out,
 * with that reason.
 */
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import { inspect } from "node:util"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import {
  type Claims,
  IdentityCheck,
  type IdentityAnswer,
  IdentityCheckError,
  type IdentityQuestion
} from "../ports/IdentityCheck.ts"
import { makeSuite, type Rule } from "./conformance.ts"

/** People of a register's test stand; what they claim is in the form that the register needs. */
export class IdentityCheckPeople extends Context.Service<
  IdentityCheckPeople,
  {
    readonly known: Claims
    /** Another one whom it knows. */
    readonly other: Claims
    /** A number in the right form that nobody has. */
    readonly stranger: Claims
    /** The number of `known` with other data; absent where nothing but a number is asked. */
    readonly mistaken?: Claims
    /** Known, and not vouched for: dead, or a member who left; absent where there is no such thing. */
    readonly gone?: Claims
  }
>()("@mahalla/testing/IdentityCheckPeople") {}

/**
 * How the next `check` goes wrong. `lost-before`, `lost-after`: no answer, the question not looked at or looked at. `slow`: answered past
 * the register's patience. `server-error`, `malformed`, `wrong-content`, `wrong-id`: an answer that cannot be believed. `pending`: not
 * decided yet. `rate-limited`, `unavailable`, `unauthorized`: refused before it was looked at.
 */
export type IdentityCheckFault =
  | "lost-before"
  | "lost-after"
  | "slow"
  | "server-error"
  | "malformed"
  | "wrong-content"
  | "wrong-id"
  | "pending"
  | "rate-limited"
  | "unavailable"
  | "unauthorized"

/** A hand on the register's own side. */
export class IdentityCheckControl extends Context.Service<
  IdentityCheckControl,
  {
    readonly next: (fault: IdentityCheckFault) => Effect.Effect<void>
    /** How often the register was asked under this id. */
    readonly asked: (id: string) => Effect.Effect<number>
  }
>()("@mahalla/testing/IdentityCheckControl") {}

type Service = IdentityCheck["Service"]
type People = IdentityCheckPeople["Service"]
type Control = IdentityCheckControl["Service"]
type Check = (service: Service, people: People) => Effect.Effect<void, unknown>

const question = (claims: Claims, change: Partial<IdentityQuestion> = {}): IdentityQuestion => ({
  id: randomUUID(),
  claims,
  purpose: "Conformance of a register",
  ...change
})

const isConfirmed = (answer: IdentityAnswer) => {
  assert.equal(answer.state, "confirmed")
  return answer as IdentityAnswer & { readonly state: "confirmed" }
}

const refused = Effect.fnUntraced(function* (service: Service, asked: IdentityQuestion) {
  const error = yield* Effect.flip(service.check(asked))
  assert.ok(error instanceof IdentityCheckError, `expected an IdentityCheckError, got ${String(error)}`)
  assert.equal(error.reason, "InvalidRequest")
  assert.equal(error.retryable, false)
  return error
})

/** Whether a value, with all that hangs on it, holds something of a person. */
const holds = (value: unknown, claims: Claims): boolean => {
  const text = inspect(value, { depth: 20, maxStringLength: null, showHidden: true })
  return Object.values(claims).some((claim) => text.includes(claim))
}

const peopleOrNot = Effect.serviceOption(IdentityCheckPeople)
const controlOrNot = Effect.serviceOption(IdentityCheckControl)
const noPeople = "the layer provides no IdentityCheckPeople"

const rule = (
  name: string,
  check: Check,
  lacks?: (people: People) => string | undefined
): Rule<IdentityCheck, Service> => ({
  name,
  unless: () => Effect.map(peopleOrNot, (people) => (Option.isNone(people) ? noPeople : lacks?.(people.value))),
  check: (service) => Effect.flatMap(peopleOrNot, (people) => check(service, Option.getOrThrow(people)))
})

/** A rule that needs the hand on the register's side. */
const controlled = (
  name: string,
  check: (service: Service, control: Control, asked: IdentityQuestion) => Effect.Effect<void, unknown>
): Rule<IdentityCheck, Service> => ({
  name,
  unless: () =>
    Effect.map(Effect.all([peopleOrNot, controlOrNot]), ([people, control]) =>
      Option.isNone(people)
        ? noPeople
        : Option.isNone(control)
          ? "the layer provides no IdentityCheckControl"
          : undefined
    ),
  check: (service) =>
    Effect.flatMap(Effect.all([peopleOrNot, controlOrNot]), ([people, control]) =>
      check(service, Option.getOrThrow(control), question(Option.getOrThrow(people).known))
    )
})

/** Unsure at first; asked again under the same id it says yes. */
const unsureThenConfirmed = (name: string, fault: IdentityCheckFault) =>
  controlled(
    name,
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next(fault)
      const first = yield* service.check(asked)
      assert.equal(first.state, "unknown")
      assert.ok(!holds(first, asked.claims), "the person is in the answer")
      isConfirmed(yield* service.check(asked))
      assert.ok((yield* control.asked(asked.id)) >= 2, "it was not asked again under its id")
    })
  )

/** Refused before anybody looked; asked again it says yes. */
const refusedForNow = (name: string, fault: IdentityCheckFault, reason: string, retryable: boolean) =>
  controlled(
    name,
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next(fault)
      const error = yield* Effect.flip(service.check(asked))
      assert.equal(error.reason, reason)
      assert.equal(error.retryable, retryable)
      assert.ok(!holds(error, asked.claims), "the person is in the error")
      isConfirmed(yield* service.check(asked))
    })
  )

export const identityCheckSuite = makeSuite<IdentityCheck, Service>("IdentityCheck", IdentityCheck, [
  rule(
    "says what it is called, what it needs and how long it waits",
    Effect.fnUntraced(function* (service, { known }) {
      for (const text of [service.title, service.numberTitle])
        assert.ok((text.en ?? "").trim() !== "", "no text in English")
      assert.match(known.number, new RegExp(`^(?:${service.numberPattern})$`, "u"))
      assert.equal(new Set(service.needs).size, service.needs.length)
      assert.ok(service.patience > 0 && service.patience <= 30_000, `a patience of ${service.patience} ms`)
      yield* Effect.void
    })
  ),
  rule(
    "confirms who claims what the register has, and says how sure it is",
    Effect.fnUntraced(function* (service, { known }) {
      const answer = isConfirmed(yield* service.check(question(known)))
      assert.ok(["low", "substantial", "high"].includes(answer.assurance), answer.assurance)
      assert.ok(answer.reference.length > 0 && answer.reference.length <= 200)
    })
  ),
  rule(
    "tells nothing but its answer",
    Effect.fnUntraced(function* (service, { known, stranger }) {
      const yes = yield* service.check(question(known))
      assert.deepEqual(Object.keys(yes).sort(), ["assurance", "reference", "state"])
      assert.ok(!holds(yes, known), "the person is in the answer")
      const no = yield* service.check(question(stranger))
      assert.deepEqual(Object.keys(no).sort(), ["reason", "state"])
    })
  ),
  rule(
    "names a person always alike, and two people differently",
    Effect.fnUntraced(function* (service, { known, other }) {
      const [first, again, another] = yield* Effect.forEach([known, known, other], (claims) =>
        Effect.map(service.check(question(claims)), isConfirmed)
      )
      assert.equal(again?.reference, first?.reference)
      assert.notEqual(another?.reference, first?.reference)
    })
  ),
  rule(
    "does not confirm a number that nobody has",
    Effect.fnUntraced(function* (service, { stranger }) {
      const answer = yield* service.check(question(stranger))
      assert.deepEqual(answer, { state: "not-confirmed", reason: "no-match" })
    })
  ),
  rule(
    "does not confirm somebody's number with other data, and does not tell that it knows the number",
    Effect.fnUntraced(function* (service, { mistaken, stranger }) {
      const answer = yield* service.check(question(mistaken ?? stranger))
      assert.deepEqual(answer, { state: "not-confirmed", reason: "no-match" })
    }),
    (people) => (people.mistaken === undefined ? "this register asks for nothing but a number" : undefined)
  ),
  rule(
    "does not vouch for somebody who is gone",
    Effect.fnUntraced(function* (service, { gone, stranger }) {
      const answer = yield* service.check(question(gone ?? stranger))
      assert.deepEqual(answer, { state: "not-confirmed", reason: "not-valid" })
    }),
    (people) => (people.gone === undefined ? "nobody is gone from this register" : undefined)
  ),
  rule(
    "gives a repeat the answer of the first call",
    Effect.fnUntraced(function* (service, { known, stranger }) {
      for (const claims of [known, stranger]) {
        const asked = question(claims)
        const first = yield* service.check(asked)
        assert.deepEqual(yield* service.check(asked), first)
      }
    })
  ),
  rule(
    "gives twenty who ask at once under one id one answer",
    Effect.fnUntraced(function* (service, { known }) {
      const asked = question(known)
      const answers = yield* Effect.all(
        Array.from({ length: 20 }, () => service.check(asked)),
        { concurrency: "unbounded" }
      )
      for (const answer of answers) assert.deepEqual(answer, answers[0])
      isConfirmed(answers[0]!)
    })
  ),
  rule(
    "keeps people apart who are asked about at once",
    Effect.fnUntraced(function* (service, { known, stranger }) {
      const states = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, place) => question(place % 2 === 0 ? known : stranger)),
        (asked) => Effect.map(service.check(asked), ({ state }) => state),
        { concurrency: "unbounded" }
      )
      assert.deepEqual(
        states,
        states.map((_, place) => (place % 2 === 0 ? "confirmed" : "not-confirmed"))
      )
    })
  ),
  rule(
    "never gives the answer about one person to a question about another under its id",
    Effect.fnUntraced(function* (service, { known, stranger }) {
      const asked = question(known)
      isConfirmed(yield* service.check(asked))
      const second = yield* Effect.result(service.check({ ...asked, claims: stranger }))
      if (second._tag === "Failure") assert.equal(second.failure.reason, "InvalidRequest")
      else assert.equal(second.success.state, "not-confirmed")
      isConfirmed(yield* service.check(asked))
    })
  ),
  rule(
    "answers after a call that was interrupted",
    Effect.fnUntraced(function* (service, { known }) {
      const asked = question(known)
      const fiber = yield* Effect.forkChild(service.check(asked), { startImmediately: true })
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      isConfirmed(yield* service.check(asked))
    })
  ),
  rule(
    "refuses to be told less than it needs",
    Effect.fnUntraced(function* (service, { known }) {
      for (const claim of service.needs) {
        const { [claim]: _, ...less } = known
        yield* refused(service, question(less))
      }
      yield* refused(service, question({ ...known, number: "" }))
    })
  ),
  rule(
    "refuses to be told more than it needs",
    Effect.fnUntraced(function* (service, { known }) {
      const all = { birthDate: "1990-07-31", name: "Somebody", ...known }
      for (const claim of ["birthDate", "name"] as const)
        if (!service.needs.includes(claim)) yield* refused(service, question({ ...known, [claim]: all[claim] }))
    })
  ),
  rule(
    "refuses a number that is not in its form",
    Effect.fnUntraced(function* (service, { known }) {
      for (const number of [` ${known.number}`, `${known.number}\n`, "'; drop table people; --", "9".repeat(500)])
        yield* refused(service, question({ ...known, number }))
    })
  ),
  rule(
    "refuses a birthday that no calendar has",
    Effect.fnUntraced(function* (service, { known }) {
      if (!service.needs.includes("birthDate")) return
      for (const birthDate of ["1990-02-31", "31.07.1990", "yesterday", ""])
        yield* refused(service, question({ ...known, birthDate }))
    })
  ),
  rule(
    "refuses an id that is no UUID and a purpose that is none",
    Effect.fnUntraced(function* (service, { known }) {
      yield* refused(service, question(known, { id: "check-1" }))
      yield* refused(service, question(known, { purpose: "" }))
      yield* refused(service, question(known, { purpose: "p".repeat(201) }))
    })
  ),
  rule(
    "keeps the person out of its errors",
    Effect.fnUntraced(function* (service, { known }) {
      const odd = { ...known, number: "QZ 77-marked-number" }
      const error = yield* refused(service, question(odd))
      assert.ok(!holds(error, { number: "77-marked" }) && !holds(error, known), "the person is in the error")
    })
  ),
  unsureThenConfirmed("calls an answer lost before the question was looked at unknown", "lost-before"),
  unsureThenConfirmed("calls a lost answer unknown", "lost-after"),
  unsureThenConfirmed("calls a failure on the register's side unknown", "server-error"),
  unsureThenConfirmed("calls an unreadable answer unknown", "malformed"),
  unsureThenConfirmed("calls an answer that is something else unknown", "wrong-content"),
  unsureThenConfirmed("calls an answer about another question unknown", "wrong-id"),
  unsureThenConfirmed("calls a question that is not decided yet unknown", "pending"),
  controlled(
    "calls an answer past its patience unknown, and waits no longer",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next("slow")
      const late = yield* Effect.timeoutOption(service.check(asked), service.patience + 2_000)
      assert.ok(Option.isSome(late), "it waited longer than it said")
      assert.equal(late.value.state, "unknown")
      isConfirmed(yield* service.check(asked))
    })
  ),
  refusedForNow("says RateLimited when it may not ask now", "rate-limited", "RateLimited", true),
  refusedForNow("says Unavailable when the register is closed", "unavailable", "Unavailable", true),
  refusedForNow("says Unauthorized when the register does not know us", "unauthorized", "Unauthorized", false)
])
