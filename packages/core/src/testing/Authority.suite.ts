/**
 * What every authority must keep. Rules about lost, late and unreadable answers, and about what it decides, need one that can be told
 * what to do: a layer that also provides `AuthorityControl`. Without it they are left out, with that reason.
 */
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Authority, AuthorityError, type Filing } from "../ports/Authority.ts"
import type { Money } from "../ports/Payments.ts"
import { makeSuite, type Rule } from "./conformance.ts"

/**
 * How the next `file` goes wrong, and for the last three the next `status`. `lost-before`, `lost-after`: no answer, not filed or filed.
 * `slow`: filed, but answered past the client's time-out. `malformed`, `wrong-content` (a page of HTML), `wrong-number`, `error-body`,
 * `forged` (an answer that is not the authority's): filed, with an answer that cannot be believed. `late`: no answer, unknown to the
 * authority for now, filed later. `refused`: finally not taken. `rate-limited`, `unavailable`: not looked at.
 */
export type AuthorityFault =
  | "lost-before"
  | "lost-after"
  | "slow"
  | "malformed"
  | "wrong-content"
  | "wrong-number"
  | "error-body"
  | "forged"
  | "late"
  | "refused"
  | "rate-limited"
  | "unavailable"
  | "status-lost"
  | "status-malformed"
  | "status-wrong-number"

/** A hand on the authority's own side: a simulator, a test stand, a fake. */
export class AuthorityControl extends Context.Service<
  AuthorityControl,
  {
    readonly next: (fault: AuthorityFault) => Effect.Effect<void>
    /** Whatever is late happens now. */
    readonly settle: Effect.Effect<void>
    /** Takes it into review. */
    readonly review: (number: string) => Effect.Effect<void>
    /** Decides, or decides otherwise than before. With a fine: `fined`. */
    readonly decide: (number: string, fine: Money | undefined) => Effect.Effect<void>
    /** How many filings really stand under this number. */
    readonly effects: (number: string) => Effect.Effect<number>
  }
>()("@mahalla/testing/AuthorityControl") {}

type Service = Authority["Service"]
type Control = AuthorityControl["Service"]

const sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

const filing = (service: Service, change: Partial<Filing> = {}): Filing => ({
  number: randomUUID(),
  kind: service.kinds[0] ?? "",
  offence: "red-light",
  article: "128-1(1)",
  plate: "01A777AA",
  plateCountry: "UZ",
  occurredAt: 1_795_000_000_000,
  place: { longitude: 66.9749, latitude: 39.6547 },
  evidence: [
    {
      url: "https://city.example/evidence/1?signature=a",
      expiresAt: 1_797_000_000_000,
      sha256,
      mediaType: "video/mp4",
      size: 1_048_576
    }
  ],
  ...change
})

const fine: Money = { amount: 68_000_000n, currency: "UZS" }

const refused = Effect.fnUntraced(function* (service: Service, bad: Filing) {
  const error = yield* Effect.flip(service.file(bad))
  assert.ok(error instanceof AuthorityError, `expected an AuthorityError, got ${String(error)}`)
  assert.equal(error.reason, "InvalidRequest")
  assert.equal(error.retryable, false)
})

const rule = (name: string, check: (service: Service) => Effect.Effect<void, unknown>): Rule<Authority, Service> => ({
  name,
  check
})

/** A rule that needs the hand on the authority's side. */
const controlled = (
  name: string,
  check: (service: Service, control: Control, filing: Filing) => Effect.Effect<void, unknown>
): Rule<Authority, Service> => ({
  name,
  unless: () =>
    Effect.map(Effect.serviceOption(AuthorityControl), (control) =>
      Option.isSome(control) ? undefined : "the layer provides no AuthorityControl"
    ),
  check: (service) =>
    Effect.flatMap(Effect.serviceOption(AuthorityControl), (control) =>
      check(service, Option.getOrThrow(control), filing(service))
    )
})

/** Unsure at first; `status` then knows it, and filing again under the same number files nothing again. */
const unsureThenFiled = (name: string, fault: AuthorityFault) =>
  controlled(
    name,
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next(fault)
      assert.equal((yield* service.file(asked)).state, "unknown")
      assert.equal((yield* service.status(asked.number)).state, "received")
      assert.equal((yield* service.file(asked)).state, "accepted")
      assert.equal(yield* control.effects(asked.number), 1)
    })
  )

/** Not looked at, and worth another try, which then files. */
const refusedForNow = (name: string, fault: AuthorityFault, reason: string) =>
  controlled(
    name,
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next(fault)
      const error = yield* Effect.flip(service.file(asked))
      assert.equal(error.reason, reason)
      assert.equal(error.retryable, true)
      assert.equal(yield* control.effects(asked.number), 0)
      assert.equal((yield* service.file(asked)).state, "accepted")
    })
  )

/** An answer to `status` that says nothing is no decision, and no sign that the number is not known. */
const unreadableStatus = (name: string, fault: AuthorityFault) =>
  controlled(
    name,
    Effect.fnUntraced(function* (service, control, asked) {
      yield* service.file(asked)
      yield* control.decide(asked.number, fine)
      yield* control.next(fault)
      const error = yield* Effect.flip(service.status(asked.number))
      assert.equal(error.reason, "Unavailable")
      assert.equal(error.retryable, true)
      assert.equal((yield* service.status(asked.number)).state, "decided")
    })
  )

export const authoritySuite = makeSuite<Authority, Service>("Authority", Authority, [
  rule(
    "gives a repeat the answer of the first call",
    Effect.fnUntraced(function* (service) {
      const asked = filing(service)
      const first = yield* service.file(asked)
      assert.equal(first.state, "accepted")
      assert.deepEqual(yield* service.file(asked), first)
    })
  ),
  rule(
    "takes the same filing with new addresses of its evidence for the same",
    Effect.fnUntraced(function* (service) {
      const asked = filing(service)
      const first = yield* service.file(asked)
      const evidence = asked.evidence.map((one) => ({
        ...one,
        url: `${one.url}b`,
        expiresAt: one.expiresAt + 86_400_000
      }))
      assert.deepEqual(yield* service.file({ ...asked, evidence }), first)
    })
  ),
  rule(
    "refuses a number that was used for another filing",
    Effect.fnUntraced(function* (service) {
      const asked = filing(service)
      yield* service.file(asked)
      yield* refused(service, { ...asked, plate: "01B888BB" })
      yield* refused(service, { ...asked, evidence: [{ ...asked.evidence[0]!, sha256: "0".repeat(64) }] })
    })
  ),
  rule(
    "does not know a number that it never saw",
    Effect.fnUntraced(function* (service) {
      assert.equal((yield* service.status(randomUUID())).state, "not-found")
    })
  ),
  rule(
    "says that it has received what it accepted",
    Effect.fnUntraced(function* (service) {
      const asked = filing(service)
      yield* service.file(asked)
      assert.ok(["received", "in-review"].includes((yield* service.status(asked.number)).state))
    })
  ),
  rule(
    "refuses a number that is no UUID",
    Effect.fnUntraced(function* (service) {
      yield* refused(service, filing(service, { number: "filing-1" }))
    })
  ),
  rule(
    "refuses a kind that it does not take",
    Effect.fnUntraced(function* (service) {
      yield* refused(service, filing(service, { kind: "noise-at-night" }))
    })
  ),
  rule(
    "refuses a field that is none",
    Effect.fnUntraced(function* (service) {
      const bad: ReadonlyArray<Partial<Filing>> = [
        { plate: "" },
        { plate: "01 a 777" },
        { article: " " },
        { offence: "Red light" },
        { occurredAt: Number.NaN },
        { place: { longitude: 181, latitude: 0 } }
      ]
      for (const change of bad) yield* refused(service, filing(service, change))
    })
  ),
  rule(
    "refuses evidence that cannot be compared",
    Effect.fnUntraced(function* (service) {
      const [file] = filing(service).evidence
      for (const evidence of [[], [{ ...file!, sha256: "abc" }], [{ ...file!, url: "ftp://city.example/1" }]])
        yield* refused(service, filing(service, { evidence }))
    })
  ),
  rule(
    "keeps the plate out of its errors",
    Effect.fnUntraced(function* (service) {
      const error = yield* Effect.flip(service.file(filing(service, { plate: "01 QOVUN 7" })))
      assert.ok(!`${error.message} ${error.subject} ${error.operation}`.includes("QOVUN"), error.message)
    })
  ),
  controlled(
    "files once for one number under twenty parallel calls",
    Effect.fnUntraced(function* (service, control, asked) {
      const outcomes = yield* Effect.all(
        Array.from({ length: 20 }, () => service.file(asked)),
        { concurrency: "unbounded" }
      )
      assert.ok(
        outcomes.some(({ state }) => state === "accepted"),
        "no call was accepted"
      )
      assert.equal(yield* control.effects(asked.number), 1)
    })
  ),
  controlled(
    "files once when a call was interrupted and is made again",
    Effect.fnUntraced(function* (service, control, asked) {
      const fiber = yield* Effect.forkChild(service.file(asked), { startImmediately: true })
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.equal((yield* service.file(asked)).state, "accepted")
      assert.equal(yield* control.effects(asked.number), 1)
    })
  ),
  unsureThenFiled("calls a lost answer unknown, and status then knows that it was filed", "lost-after"),
  unsureThenFiled("calls an answer past the time-out unknown", "slow"),
  unsureThenFiled("calls an unreadable answer unknown", "malformed"),
  unsureThenFiled("calls a page in the place of an answer unknown", "wrong-content"),
  unsureThenFiled("calls an answer about another number unknown", "wrong-number"),
  unsureThenFiled("calls an error in the place of an answer unknown", "error-body"),
  unsureThenFiled("calls an answer that is not the authority's unknown", "forged"),
  controlled(
    "calls an answer lost before the filing unknown, and the same number files once afterwards",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next("lost-before")
      assert.equal((yield* service.file(asked)).state, "unknown")
      assert.equal((yield* service.status(asked.number)).state, "not-found")
      assert.equal((yield* service.file(asked)).state, "accepted")
      assert.equal(yield* control.effects(asked.number), 1)
    })
  ),
  controlled(
    "never says that a number is finally not found while it may still be filed",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next("late")
      assert.equal((yield* service.file(asked)).state, "unknown")
      const early = yield* service.status(asked.number)
      assert.ok(early.state !== "not-found" || !early.final, "said finally not found")
      yield* control.settle
      assert.equal((yield* service.status(asked.number)).state, "received")
      assert.equal(yield* control.effects(asked.number), 1)
    })
  ),
  controlled(
    "keeps to a refusal: status and a repeat agree, and nothing is filed",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* control.next("refused")
      const outcome = yield* service.file(asked)
      assert.equal(outcome.state, "refused")
      assert.deepEqual(yield* service.status(asked.number), outcome)
      assert.deepEqual(yield* service.file(asked), outcome)
      assert.equal(yield* control.effects(asked.number), 0)
    })
  ),
  refusedForNow("says RateLimited when it may not ask now, and nothing is filed", "rate-limited", "RateLimited"),
  refusedForNow("says Unavailable when the authority is away, and nothing is filed", "unavailable", "Unavailable"),
  unreadableStatus("does not take a lost status for one", "status-lost"),
  unreadableStatus("does not take an unreadable status for one", "status-malformed"),
  unreadableStatus("does not take the status of another number for one", "status-wrong-number"),
  controlled(
    "says in review until it is decided",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* service.file(asked)
      yield* control.review(asked.number)
      assert.equal((yield* service.status(asked.number)).state, "in-review")
    })
  ),
  controlled(
    "says that somebody was fined, how much, and the authority's own number",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* service.file(asked)
      yield* control.decide(asked.number, fine)
      const status = yield* service.status(asked.number)
      assert.ok(status.state === "decided", status.state)
      assert.deepEqual([status.verdict, status.fine], ["fined", fine])
      assert.notEqual(status.reference, "")
      assert.ok(Number.isSafeInteger(status.at))
      assert.equal((yield* service.file(asked)).state, "accepted")
    })
  ),
  controlled(
    "says that it was dismissed, without a fine",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* service.file(asked)
      yield* control.decide(asked.number, undefined)
      const status = yield* service.status(asked.number)
      assert.ok(status.state === "decided", status.state)
      assert.deepEqual([status.verdict, status.fine], ["dismissed", undefined])
    })
  ),
  controlled(
    "tells of a decision that was reversed",
    Effect.fnUntraced(function* (service, control, asked) {
      yield* service.file(asked)
      yield* control.decide(asked.number, fine)
      yield* service.status(asked.number)
      yield* control.decide(asked.number, undefined)
      const status = yield* service.status(asked.number)
      assert.ok(status.state === "decided" && status.verdict === "dismissed", JSON.stringify(status.state))
    })
  ),
  {
    ...controlled(
      "gives notice of a decision by our number",
      Effect.fnUntraced(function* (service, control, asked) {
        const heard = yield* Effect.forkChild(Stream.runHead(service.notices ?? Stream.empty), {
          startImmediately: true
        })
        yield* service.file(asked)
        yield* Effect.yieldNow
        yield* control.decide(asked.number, fine)
        const first = yield* Effect.timeout(Fiber.join(heard), "5 seconds")
        assert.equal(Option.getOrUndefined(first), asked.number)
      })
    ),
    unless: (service) =>
      service.notices === undefined
        ? "it gives no notices"
        : Effect.map(Effect.serviceOption(AuthorityControl), (control) =>
            Option.isSome(control) ? undefined : "the layer provides no AuthorityControl"
          )
  }
])
