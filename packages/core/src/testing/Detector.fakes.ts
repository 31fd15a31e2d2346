/**
 * A detector that finds what a script says, for tests of whatever detects through the port; and for each rule of the suite a detector
 * that breaks it.
 */
import { readFile } from "node:fs/promises"
import { basename } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Detector, DetectorError, type DetectorReason, type DetectRequest, type Finding } from "../ports/Detector.ts"

/** What is on the picture of this file name. */
export type DetectorScript = (file: string) => ReadonlyArray<Omit<Finding, "frame" | "at">>

type Service = Detector["Service"]

const fail = (reason: DetectorReason, subject: string, message: string) =>
  new DetectorError({
    reason,
    operation: "detect",
    subject,
    message,
    retryable: reason === "Timeout" || reason === "Unavailable"
  })

const largest = 120_000_000

/** Enough of PNG and JPEG to refuse what a real detector refuses. */
const inspect = Effect.fnUntraced(function* (path: string) {
  const file = basename(path)
  const bytes = yield* Effect.tryPromise({
    try: () => readFile(path),
    catch: () => fail("NotMedia", file, `${file} cannot be opened. Hand in a picture.`)
  })
  const png = bytes.subarray(1, 4).toString("latin1") === "PNG" && bytes.length > 33
  const jpeg = bytes[0] === 0xff && bytes[1] === 0xd8
  if (!png && !jpeg) return yield* fail("NotMedia", file, `${file} is no picture. Hand in a JPEG or PNG picture.`)
  if (png && bytes.readUInt32BE(16) * bytes.readUInt32BE(20) > largest)
    return yield* fail("TooLarge", file, `${file} has too many pixels. Hand in a smaller picture.`)
  const whole = png
    ? bytes.subarray(-8, -4).toString("latin1") === "IEND"
    : bytes.at(-2) === 0xff && bytes.at(-1) === 0xd9
  if (!whole) return yield* fail("NotMedia", file, `${file} is damaged. Hand in an undamaged picture.`)
})

const scripted = (script: DetectorScript): Service => ({
  model: "scripted/1.0.0",
  detect: Effect.fn("Detector.detect")(
    function* (request: DetectRequest) {
      const findings: Array<Finding> = []
      for (const [frame, { path, at }] of request.frames.entries()) {
        yield* inspect(path)
        // A frame takes a moment, so that a time limit can be met.
        yield* Effect.sleep(1)
        for (const found of script(basename(path)))
          findings.push({ ...found, frame, ...(at === undefined ? {} : { at }) })
      }
      return findings.sort((a, b) => b.confidence - a.confidence)
    },
    (effect, request) =>
      request.timeout === undefined
        ? effect
        : Effect.timeoutOrElse(effect, {
            duration: request.timeout,
            orElse: () => Effect.fail(fail("Timeout", "frames", "It took too long. Try again with fewer frames."))
          })
  )
})

/** A detector in memory that finds what the script says. Refuses bad files as a real one does. */
export const scriptedDetector = (script: DetectorScript = () => []): Layer.Layer<Detector> =>
  Layer.succeed(Detector, Detector.of(scripted(script)))

/** A change that makes a good detector bad. */
type Spoil = (good: Service) => Partial<Service>

const altered =
  (change: (findings: ReadonlyArray<Finding>, request: DetectRequest) => ReadonlyArray<Finding>): Spoil =>
  (good) => ({
    detect: (request) => Effect.map(good.detect(request), (findings) => change(findings, request))
  })

/** Finds nothing instead of refusing. */
const swallows =
  (reason: DetectorReason, matches: (file: string) => boolean): Spoil =>
  (good) => ({
    detect: (request) =>
      Effect.catchIf(
        good.detect(request),
        (error) => error.reason === reason && request.frames.some((frame) => matches(frame.path)),
        () => Effect.succeed([])
      )
  })

const anywhere = { kind: "plate", frame: 0, box: { x: 0, y: 0, width: 1, height: 1 }, confidence: 0.5, certain: false }

/** By the name of the rule that each one breaks. */
export const brokenDetectors: Readonly<Record<string, Spoil>> = {
  "names its algorithm and version": () => ({ model: "newest" }),
  "finds nothing where there is nothing, and nothing in no frames": altered(() => [anywhere]),
  "refuses an empty file as NotMedia": swallows("NotMedia", (path) => path.endsWith("empty.jpg")),
  "refuses a file that is no picture as NotMedia": (good) => ({
    detect: (request) =>
      Effect.mapError(good.detect(request), (error) => fail("Unavailable", error.subject, error.message))
  }),
  "refuses a damaged picture as NotMedia": swallows("NotMedia", (path) => path.endsWith("damaged.png")),
  "refuses a missing file as NotMedia": (good) => ({
    detect: (request) =>
      Effect.mapError(good.detect(request), (error) => fail(error.reason, request.frames[0]!.path, error.message))
  }),
  "refuses a picture of 50,000 × 50,000 pixels as TooLarge": swallows("TooLarge", () => true),
  "refuses the whole request for one bad frame, and answers the next": (good) => ({
    detect: (request) =>
      Effect.catchIf(
        good.detect(request),
        () => request.frames.length > 1,
        () => Effect.succeed([])
      )
  }),
  "gives up with Timeout when its time is over, and answers the next": (good) => ({
    detect: (request) => (request.timeout === undefined ? good.detect(request) : Effect.never)
  }),
  "stops when interrupted, and answers the next": (good) => ({
    detect: (request) =>
      request.frames.length > 1
        ? Effect.uninterruptible(Effect.sleep("4 seconds")).pipe(Effect.as([]))
        : good.detect(request)
  }),
  "finds what is there, where it is, and is certain of it": altered((findings) =>
    findings.map((finding) => ({ ...finding, box: { ...finding.box, x: finding.box.x + finding.box.width } }))
  ),
  "keeps boxes inside the picture and confidence between 0 and 1, surest first": altered((findings) =>
    findings.map((finding) => ({ ...finding, box: { ...finding.box, width: 100_000 } }))
  ),
  "gives each finding its frame and moment": altered((findings) =>
    findings.map((finding) => ({ ...finding, frame: 0 }))
  ),
  "is not certain of what cannot be read": altered((findings) =>
    findings.map((finding) => ({ ...finding, certain: true }))
  ),
  "has no unread character in what is certain": altered((findings) =>
    findings.map((finding) => ({ ...finding, text: "01?123BC", certain: true }))
  ),
  "finds the same again, alone and among ten at once": (good) => {
    let calls = 0
    return altered((findings) => findings.map((finding) => ({ ...finding, confidence: ++calls / 1_000 })))(good)
  }
}

/** The scripted detector, broken against one rule. */
export const brokenDetector = (rule: string, script: DetectorScript): Layer.Layer<Detector> => {
  const good = scripted(script)
  const spoil = brokenDetectors[rule]
  if (spoil === undefined) throw new Error(`No detector breaks the rule "${rule}".`)
  return Layer.succeed(Detector, Detector.of({ ...good, ...spoil(good) }))
}
