import { describe, expect, it } from "vitest"
import { mergeFrames } from "./merge.ts"
import type { PlateReading } from "./read.ts"

const box = { x: 10, y: 10, width: 100, height: 20 }
const reading = (text: string, confidence: number, certain: boolean): PlateReading => ({
  box,
  text,
  confidence,
  certain,
  format: "uz-private",
  country: "UZ"
})
const video = (count: number) => Array.from({ length: count }, (_, i) => ({ path: `${i}.jpg`, at: i / 2 }))

describe("frames of one video", () => {
  it("keep one finding per plate and frame, each with its frame, moment and box", () => {
    const found = mergeFrames(video(2), [[reading("01A123BC", 0.9, true)], [reading("01A123BC", 0.9, true)]])
    expect(found.map(({ frame, at, box }) => ({ frame, at, box }))).toEqual([
      { frame: 0, at: 0, box },
      { frame: 1, at: 0.5, box }
    ])
  })
  it("keep the place of a plate of which nothing could be read, without a text and never certain", () => {
    const unread = { box, text: "", confidence: 0.01, certain: false }
    const found = mergeFrames(video(2), [[reading("01A123BC", 0.9, true), unread], [unread]])
    expect(found.filter((one) => one.text === undefined)).toEqual([
      { kind: "plate", frame: 0, at: 0, box, confidence: 0.01, certain: false },
      { kind: "plate", frame: 1, at: 0.5, box, confidence: 0.01, certain: false }
    ])
    expect(found[0]).toMatchObject({ text: "01A123BC", certain: true })
  })
  it("are surer together than alone", () => {
    const alone = mergeFrames(video(1), [[reading("01A123BC", 0.9, true)]])[0]!
    const together = mergeFrames(video(2), [[reading("01A123BC", 0.9, true)], [reading("01A123BC", 0.85, true)]])
    expect(together[0]!.confidence).toBeGreaterThan(alone.confidence)
    expect(together.every((finding) => finding.certain)).toBe(true)
  })
  it("make three fairly sure readings a certain one, but not two, and not three weak ones", () => {
    const fair = [reading("01A123BC", 0.7, false)]
    expect(mergeFrames(video(3), [fair, fair, fair]).every((finding) => finding.certain)).toBe(true)
    expect(mergeFrames(video(2), [fair, fair]).some((finding) => finding.certain)).toBe(false)
    const weak = [reading("01A123BC", 0.4, false)]
    expect(mergeFrames(video(3), [weak, weak, weak]).some((finding) => finding.certain)).toBe(false)
  })
  it("take certainty away where they contradict each other", () => {
    const found = mergeFrames(video(2), [[reading("01A123BC", 0.9, true)], [reading("01A128BC", 0.9, true)]])
    expect(found.some((finding) => finding.certain)).toBe(false)
    expect(found.every((finding) => finding.confidence < 0.8)).toBe(true)
  })
  it("fill in what one frame could not read, without calling that frame certain", () => {
    const found = mergeFrames(video(2), [[reading("01A1?3BC", 0.5, false)], [reading("01A123BC", 0.9, true)]])
    expect(found.map(({ frame, text, certain }) => ({ frame, text, certain }))).toEqual([
      { frame: 1, text: "01A123BC", certain: true },
      { frame: 0, text: "01A123BC", certain: false }
    ])
  })
  it("tell two plates apart", () => {
    const both = [reading("01A123BC", 0.9, true), reading("10Z707AA", 0.9, true)]
    expect(mergeFrames(video(2), [both, both]).filter((finding) => finding.certain)).toHaveLength(4)
  })
  it("of a photograph carry no moment", () => {
    expect(mergeFrames([{ path: "a.jpg" }], [[reading("01A123BC", 0.9, true)]])[0]).not.toHaveProperty("at")
  })
})
