import { randomBytes } from "node:crypto"
import { describe, expect, it } from "vitest"
import { readRecoveryText, recoveryText } from "./recovery.ts"

const secret = () => randomBytes(48).toString("base64url")

describe("a recovery text", () => {
  it("gives_the_secret_back_whatever_its_length", () => {
    for (const one of [
      secret(),
      "x".repeat(32),
      "ў".repeat(33),
      `${secret()}${secret()}`,
      "with spaces and = signs, 40 characters .."
    ])
      expect(readRecoveryText(recoveryText(one))).toEqual({ secret: one })
  })

  it("forgives_small_letters_spaces_and_letters_taken_for_digits", () => {
    const one = secret()
    const sloppy = recoveryText(one).toLowerCase().replaceAll("0", "o").replaceAll("\n", "  \r\n")
    // The first column are numbers of lines.
    const lines = sloppy.split("\n").map((line) => line.replace(/^ ?1o/, "10"))
    expect(readRecoveryText(lines.join("\n"))).toEqual({ secret: one })
  })

  it("names_the_line_with_a_slip_for_every_single_character", () => {
    const text = recoveryText(secret())
    const lines = text.split("\n")
    for (const [number, line] of lines.entries()) {
      if (!/^ ?\d/.test(line)) continue
      for (let at = 4; at < line.length; at++) {
        if (line[at] === " ") continue
        const slip = line.slice(0, at) + (line[at] === "7" ? "8" : "7") + line.slice(at + 1)
        const read = readRecoveryText(lines.with(number, slip).join("\n"))
        expect([slip, "mistake" in read]).toEqual([slip, true])
      }
    }
    const first = lines[1]!
    const slip = readRecoveryText(lines.with(1, first.replace(/..$/, first.endsWith("ZZ") ? "YY" : "ZZ")).join("\n"))
    expect(slip).toEqual({ mistake: expect.stringContaining("Line 1 ") })
  })

  it("notices_lines_that_are_missing_or_in_another_order", () => {
    const lines = recoveryText(secret()).split("\n")
    for (let at = 1; at < lines.length - 2; at++)
      expect([at, "mistake" in readRecoveryText(lines.toSpliced(at, 1).join("\n"))]).toEqual([at, true])
    expect("mistake" in readRecoveryText(lines.slice(0, -2).join("\n"))).toBe(true)
    const swapped = lines.with(1, lines[2]!).with(2, lines[1]!)
    expect("mistake" in readRecoveryText(swapped.join("\n"))).toBe(true)
    expect("mistake" in readRecoveryText("nothing")).toBe(true)
  })
})
