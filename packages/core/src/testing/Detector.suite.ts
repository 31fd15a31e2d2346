/**
 * What every detector must keep. Whether it finds the right things is asked with pictures that the layer brings as `DetectorSamples`;
 * without them those rules are left out.
 */
import assert from "node:assert/strict"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { type Box, Detector, DetectorError, type DetectorReason, type Finding } from "../ports/Detector.ts"
import { makeSuite, type Rule } from "./conformance.ts"
import { type DetectorProbes, detectorProbes, writeBomb } from "./Detector.probes.ts"

/** A picture with one thing on it. */
export interface DetectorSample {
  readonly path: string
  readonly width: number
  readonly height: number
  readonly kind: string
  readonly text?: string
  readonly box: Box
}

/** Pictures in which this detector should and should not find something. */
export class DetectorSamples extends Context.Service<
  DetectorSamples,
  {
    /** At least one that the detector must be certain of. */
    readonly readable: ReadonlyArray<DetectorSample>
    /** Files with something on them that nobody could read: blurred, dark. */
    readonly unreadable: ReadonlyArray<string>
  }
>()("@mahalla/testing/DetectorSamples") {}

type Service = Detector["Service"]
type Samples = DetectorSamples["Service"]

const rule = (
  name: string,
  check: (service: Service, probes: DetectorProbes) => Effect.Effect<void, unknown, Scope.Scope>
): Rule<Detector, Service> => ({
  name,
  check: (service) => Effect.flatMap(detectorProbes, (probes) => check(service, probes))
})

const sampled = (
  name: string,
  check: (
    service: Service,
    samples: Samples,
    first: DetectorSample,
    probes: DetectorProbes
  ) => Effect.Effect<void, unknown, Scope.Scope>
): Rule<Detector, Service> => ({
  name,
  unless: () =>
    Effect.map(Effect.serviceOption(DetectorSamples), (samples) =>
      Option.isSome(samples) ? undefined : "the layer provides no DetectorSamples"
    ),
  check: () =>
    Effect.gen(function* () {
      const service = yield* Detector
      const samples = Option.getOrThrow(yield* Effect.serviceOption(DetectorSamples))
      const first = samples.readable[0]
      assert.ok(first !== undefined, "DetectorSamples has no readable picture")
      yield* check(service, samples, first, yield* detectorProbes)
    })
})

/** The file is refused finally, with the reason, in words that name the file and not its folder. */
const refuses = (name: string, which: keyof DetectorProbes, reason: DetectorReason, prepare?: typeof writeBomb) =>
  rule(
    name,
    Effect.fnUntraced(function* (service, probes) {
      if (prepare !== undefined) yield* prepare(probes)
      const error = yield* Effect.flip(service.detect({ frames: [{ path: probes[which] }] }))
      assert.ok(error instanceof DetectorError)
      assert.equal(error.reason, reason)
      assert.equal(error.retryable, false)
      assert.ok(!`${error.message} ${error.subject}`.includes(probes.folder), `names the folder: ${error.message}`)
      assert.ok(`${error.message} ${error.subject}`.includes(probes[which].split(/[\\/]/).at(-1) ?? ""), error.message)
    })
  )

const covers = (a: Box, b: Box): number => {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x)
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y)
  if (width <= 0 || height <= 0) return 0
  return (width * height) / (a.width * a.height + b.width * b.height - width * height)
}

const certain = (findings: ReadonlyArray<Finding>) => findings.filter((finding) => finding.certain)

export const detectorSuite = makeSuite<Detector, Service>("Detector", Detector, [
  rule(
    "names its algorithm and version",
    Effect.fnUntraced(function* (service) {
      assert.match(service.model, /^[a-z0-9@/._+-]+\/\d+\.\d+\.\d+$/i)
      yield* Effect.void
    })
  ),
  rule(
    "finds nothing where there is nothing, and nothing in no frames",
    Effect.fnUntraced(function* (service, probes) {
      assert.deepEqual(yield* service.detect({ frames: [] }), [])
      assert.deepEqual(yield* service.detect({ frames: [{ path: probes.even }] }), [])
      assert.deepEqual(
        yield* service.detect({
          frames: [
            { path: probes.even, at: 0 },
            { path: probes.large, at: 1 }
          ]
        }),
        []
      )
    })
  ),
  refuses("refuses an empty file as NotMedia", "empty", "NotMedia"),
  refuses("refuses a file that is no picture as NotMedia", "text", "NotMedia"),
  refuses("refuses a damaged picture as NotMedia", "damaged", "NotMedia"),
  refuses("refuses a missing file as NotMedia", "missing", "NotMedia"),
  refuses("refuses a picture of 50,000 × 50,000 pixels as TooLarge", "bomb", "TooLarge", writeBomb),
  rule(
    "refuses the whole request for one bad frame, and answers the next",
    Effect.fnUntraced(function* (service, probes) {
      const error = yield* Effect.flip(service.detect({ frames: [{ path: probes.even }, { path: probes.text }] }))
      assert.equal(error.reason, "NotMedia")
      assert.deepEqual(yield* service.detect({ frames: [{ path: probes.even }] }), [])
    })
  ),
  rule(
    "gives up with Timeout when its time is over, and answers the next",
    Effect.fnUntraced(function* (service, probes) {
      const frames = Array.from({ length: 40 }, (_, at) => ({ path: probes.large, at }))
      const outcome = yield* Effect.exit(service.detect({ frames, timeout: 1 })).pipe(
        Effect.timeout(Duration.seconds(5)),
        Effect.timed
      )
      const [took, exit] = outcome
      assert.ok(Duration.toMillis(took) < 4_000, `took ${Duration.toMillis(took)} ms`)
      assert.equal(exit._tag, "Failure", "forty large frames were read within a millisecond")
      const error = yield* Effect.flip(exit)
      assert.equal(error.reason, "Timeout")
      assert.equal(error.retryable, true)
      assert.deepEqual(yield* service.detect({ frames: [{ path: probes.even }] }), [])
    })
  ),
  rule(
    "stops when interrupted, and answers the next",
    Effect.fnUntraced(function* (service, probes) {
      const frames = Array.from({ length: 40 }, (_, at) => ({ path: probes.large, at }))
      const running = yield* Effect.forkChild(service.detect({ frames }), { startImmediately: true })
      yield* Effect.sleep(30)
      yield* Fiber.interrupt(running).pipe(Effect.timeout(Duration.seconds(3)))
      const answered = yield* service
        .detect({ frames: [{ path: probes.even }] })
        .pipe(Effect.timeout(Duration.seconds(20)))
      assert.deepEqual(answered, [])
    })
  ),
  sampled(
    "finds what is there, where it is, and is certain of it",
    Effect.fnUntraced(function* (service, samples) {
      for (const sample of samples.readable) {
        const findings = yield* service.detect({ frames: [{ path: sample.path }] })
        const found = certain(findings)[0]
        assert.ok(found !== undefined, `nothing certain in ${sample.path}`)
        assert.equal(found.kind, sample.kind)
        assert.equal(found.text, sample.text)
        assert.ok(covers(found.box, sample.box) >= 0.3, `box ${JSON.stringify(found.box)}`)
      }
    })
  ),
  sampled(
    "keeps boxes inside the picture and confidence between 0 and 1, surest first",
    Effect.fnUntraced(function* (service, samples) {
      for (const sample of samples.readable) {
        const findings = yield* service.detect({ frames: [{ path: sample.path }, { path: sample.path }] })
        assert.ok(findings.length > 0)
        let last = 1
        for (const { box, confidence } of findings) {
          assert.ok(box.x >= 0 && box.y >= 0 && box.width > 0 && box.height > 0, JSON.stringify(box))
          assert.ok(box.x + box.width <= sample.width && box.y + box.height <= sample.height, JSON.stringify(box))
          assert.ok(confidence >= 0 && confidence <= last, `confidence ${confidence} after ${last}`)
          last = confidence
        }
      }
    })
  ),
  sampled(
    "gives each finding its frame and moment",
    Effect.fnUntraced(function* (service, _, first, probes) {
      const video = yield* service.detect({
        frames: [
          { path: probes.even, at: 0 },
          { path: first.path, at: 1.5 }
        ]
      })
      assert.ok(video.length > 0)
      assert.deepEqual([...new Set(video.map((finding) => `${finding.frame} ${finding.at}`))], ["1 1.5"])
      const photograph = yield* service.detect({ frames: [{ path: first.path }] })
      assert.ok(photograph.every((finding) => finding.frame === 0 && !("at" in finding)))
    })
  ),
  sampled(
    "is not certain of what cannot be read",
    Effect.fnUntraced(function* (service, samples) {
      for (const path of samples.unreadable)
        assert.deepEqual(certain(yield* service.detect({ frames: [{ path }] })), [], path)
    })
  ),
  sampled(
    "has no unread character in what is certain",
    Effect.fnUntraced(function* (service, samples) {
      const paths = [...samples.readable.map((sample) => sample.path), ...samples.unreadable]
      for (const path of paths)
        for (const finding of certain(yield* service.detect({ frames: [{ path }] })))
          assert.ok(finding.text === undefined || /^[A-Z0-9]+$/.test(finding.text), finding.text)
    })
  ),
  sampled(
    "finds the same again, alone and among ten at once",
    Effect.fnUntraced(function* (service, _, first) {
      const once = yield* service.detect({ frames: [{ path: first.path }] })
      const all = yield* Effect.all(
        Array.from({ length: 10 }, () => service.detect({ frames: [{ path: first.path }] })),
        { concurrency: "unbounded" }
      )
      for (const findings of all) assert.deepEqual(findings, once)
    })
  )
])
