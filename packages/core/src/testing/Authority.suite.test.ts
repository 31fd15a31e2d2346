import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "vitest"
import { Authority, AuthorityError, type FilingOutcome, type FilingStatus } from "../ports/Authority.ts"
import { memoryAuthority } from "./Authority.memory.ts"
import { AuthorityControl, authoritySuite } from "./Authority.suite.ts"

authoritySuite.run({ describe, it }, { name: "memory", layer: memoryAuthority() })

type Service = Authority["Service"]
type Break = (service: Service) => Partial<Service>

/** The fake in memory with one thing spoiled. */
const broken = (spoil: Break) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const service = yield* Authority
      const control = yield* AuthorityControl
      return Context.make(Authority, Authority.of({ ...service, ...spoil(service) })).pipe(
        Context.add(AuthorityControl, control)
      )
    })
  ).pipe(Layer.provide(memoryAuthority()))

const error = (reason: "Unavailable" | "InvalidRequest", message = "") =>
  new AuthorityError({ reason, operation: "file", subject: "", message, retryable: reason === "Unavailable" })
const map =
  (change: (outcome: FilingOutcome) => FilingOutcome): Break =>
  (service) => ({ file: (filing) => Effect.map(service.file(filing), change) })
const mapStatus =
  (change: (status: FilingStatus) => FilingStatus): Break =>
  (service) => ({ status: (number) => Effect.map(service.status(number), change) })
const accepted: FilingOutcome = { state: "accepted", reference: "r" }
const refused: FilingOutcome = { state: "refused", code: "timeout", message: "No answer." }
const unknownBecomes = (about: string, outcome: FilingOutcome) =>
  map((real) => (real.state === "unknown" && real.message.includes(about) ? outcome : real))
/** Takes what the port must refuse. */
const lenient = (about: RegExp): Break => {
  return (service) => ({
    file: (filing) =>
      service
        .file(filing)
        .pipe(Effect.catch((wrong) => (about.test(wrong.message) ? Effect.succeed(accepted) : Effect.fail(wrong))))
  })
}
/** Says something for certain where nothing could be read. */
const statusGuessed =
  (guess: FilingStatus): Break =>
  (service) => ({ status: (number) => Effect.catch(service.status(number), () => Effect.succeed(guess)) })
/** Files under another number each time: what came of the first call is not known to it. */
const forgetful: Break = (service) => {
  const begun = new Set<string>()
  return {
    file: (filing) =>
      begun.has(filing.number)
        ? Effect.fail(error("Unavailable", "In progress."))
        : Effect.andThen(
            Effect.sync(() => begun.add(filing.number)),
            Effect.delay(service.file(filing), 5)
          )
  }
}

const breaks: Record<string, Break> = {
  "gives a repeat the answer of the first call": (service) => {
    let call = 0
    return {
      file: (filing) => Effect.map(service.file(filing), () => ({ state: "accepted", reference: `r${++call}` }))
    }
  },
  "takes the same filing with new addresses of its evidence for the same": (service) => {
    const seen = new Map<string, string>()
    return {
      file: (filing) => {
        const body = JSON.stringify(filing)
        const known = seen.get(filing.number) ?? body
        seen.set(filing.number, known)
        return known === body ? service.file(filing) : Effect.fail(error("InvalidRequest"))
      }
    }
  },
  "refuses a number that was used for another filing": lenient(/another filing/),
  "does not know a number that it never saw": () => ({ status: () => Effect.succeed({ state: "received" }) }),
  "says that it has received what it accepted": mapStatus(() => ({ state: "not-found", final: true })),
  "refuses a number that is no UUID": lenient(/UUID/),
  "refuses a kind that it does not take": lenient(/kind/),
  "refuses a field that is none": lenient(/article/),
  "refuses evidence that cannot be compared": lenient(/SHA-256/),
  "keeps the plate out of its errors": (service) => ({
    file: (filing) => Effect.mapError(service.file(filing), () => error("InvalidRequest", `Bad plate ${filing.plate}.`))
  }),
  "files once for one number under twenty parallel calls": (service) => ({
    file: (filing) => Effect.as(service.file({ ...filing, number: crypto.randomUUID() }), accepted)
  }),
  "files once when a call was interrupted and is made again": forgetful,
  "calls a lost answer unknown, and status then knows that it was filed": unknownBecomes("lost", refused),
  "calls an answer past the time-out unknown": unknownBecomes("in time", refused),
  "calls an unreadable answer unknown": unknownBecomes("read", refused),
  "calls a page in the place of an answer unknown": unknownBecomes("page", accepted),
  "calls an answer about another number unknown": unknownBecomes("another number", accepted),
  "calls an error in the place of an answer unknown": unknownBecomes("error", refused),
  "calls an answer that is not the authority's unknown": unknownBecomes("signed", accepted),
  "calls an answer lost before the filing unknown, and the same number files once afterwards": (service) => ({
    file: (filing) =>
      Effect.flatMap(service.file(filing), (outcome) =>
        outcome.state === "unknown" ? Effect.fail(error("Unavailable")) : Effect.succeed(outcome)
      )
  }),
  "never says that a number is finally not found while it may still be filed": mapStatus((status) =>
    status.state === "not-found" ? { ...status, final: true } : status
  ),
  "keeps to a refusal: status and a repeat agree, and nothing is filed": (service) => {
    let calls = 0
    return {
      file: (filing) =>
        Effect.map(service.file(filing), (outcome) => (outcome.state === "refused" && ++calls > 1 ? accepted : outcome))
    }
  },
  "says RateLimited when it may not ask now, and nothing is filed": (service) => ({
    file: (filing) => Effect.mapError(service.file(filing), () => error("Unavailable"))
  }),
  "says Unavailable when the authority is away, and nothing is filed": (service) => ({
    file: (filing) =>
      Effect.catch(service.file(filing), () => Effect.succeed({ state: "unknown", message: "" } as const))
  }),
  "does not take a lost status for one": statusGuessed({ state: "received" }),
  "does not take an unreadable status for one": statusGuessed({ state: "not-found", final: false }),
  "does not take the status of another number for one": statusGuessed({ state: "in-review" }),
  "says in review until it is decided": mapStatus((status) =>
    status.state === "in-review" ? { state: "received" } : status
  ),
  "says that somebody was fined, how much, and the authority's own number": mapStatus((status) =>
    status.state === "decided" && status.fine !== undefined
      ? { ...status, fine: { ...status.fine, amount: status.fine.amount / 100n } }
      : status
  ),
  "says that it was dismissed, without a fine": mapStatus((status) =>
    status.state === "decided" ? { ...status, verdict: "fined" } : status
  ),
  "tells of a decision that was reversed": (service) => {
    const first = new Map<string, FilingStatus>()
    return {
      status: (number) =>
        Effect.map(service.status(number), (status) => {
          if (status.state !== "decided") return status
          const known = first.get(number) ?? status
          first.set(number, known)
          return known
        })
    }
  },
  "gives notice of a decision by our number": (service) => ({
    notices: Stream.map(service.notices ?? Stream.empty, () => "memory-1")
  })
}

describe("Authority suite", () => {
  it("has a broken authority for every rule", () => {
    expect(Object.keys(breaks).sort()).toEqual(authoritySuite.rules.map((rule) => rule.name).sort())
  })
  for (const [rule, spoil] of Object.entries(breaks))
    it(`notices an authority that breaks: ${rule}`, async () => {
      expect(await authoritySuite.verdict(rule, broken(spoil))).toBe("broken")
    })
  it("leaves out what needs a hand on the authority's side, with the reason", async () => {
    const alone = Layer.effectContext(Effect.map(Authority, (service) => Context.make(Authority, service))).pipe(
      Layer.provide(memoryAuthority())
    )
    expect(await authoritySuite.verdict("calls an unreadable answer unknown", alone)).toBe("skipped")
  })
})
