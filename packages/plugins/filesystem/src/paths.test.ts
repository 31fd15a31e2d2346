import fc from "fast-check"
import { isBlobKey } from "@mahalla/core/plugin"
import { describe, expect, it } from "vitest"
import { decode, pathOf } from "./paths.ts"

const segment = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9._-]{1,12}$/),
  fc.stringMatching(/^[A-Za-z0-9._-]{90,255}$/),
  fc.constantFrom("con", "CON", "nul.txt", "com1", "a.blob", ".dir", "a.more", "x.", "m".repeat(200))
)
const key = fc
  .array(segment, { minLength: 1, maxLength: 5 })
  .map((segments) => segments.join("/"))
  .filter(isBlobKey)

/** The key that a path's names say. */
const keyOf = (path: string) =>
  path
    .split(/[\\/]/)
    .map((name) => {
      const found = decode(name)
      return found === undefined ? "?" : found.text + (found.kind === "dir" ? "/" : "")
    })
    .join("")

describe("paths", () => {
  it("tells the key from the path again", () => {
    fc.assert(
      fc.property(key, (one) => {
        expect(keyOf(pathOf(one))).toBe(one)
      })
    )
  })

  it("gives different keys different paths where case is ignored, and none the name of another's folder", () => {
    fc.assert(
      fc.property(key, key, (one, other) => {
        fc.pre(one !== other)
        const [path, otherPath] = [pathOf(one).toLowerCase(), pathOf(other).toLowerCase()]
        expect(path).not.toBe(otherPath)
        expect(otherPath.startsWith(`${path}/`)).toBe(false)
      })
    )
  })

  it("uses only names that every file system takes", () => {
    fc.assert(
      fc.property(key, (one) => {
        for (const name of pathOf(one).split(/[\\/]/)) {
          expect(name).toMatch(/^[a-z0-9._=~-]*\.(blob|dir|more)$/)
          expect(name).not.toMatch(/^(con|prn|aux|nul|com\d|lpt\d)\./)
          expect(name.length).toBeLessThanOrEqual(255)
        }
      })
    )
  })

  it("knows names that are not its own", () => {
    const names = ["Thumbs.db", "A.blob", "=A.blob", "~a.blob", "con.blob", "a", "a.blob.tmp", "..", "=.blob"]
    expect(names.filter((name) => decode(name) !== undefined)).toEqual([])
  })
})
