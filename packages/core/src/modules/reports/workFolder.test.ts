import { existsSync, mkdtempSync, rmSync, utimesSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { afterAll, expect, it } from "vitest"
import { workFolder } from "./workFolder.ts"

const left = (hours: number) => {
  const path = mkdtempSync(join(tmpdir(), "mahalla-report-"))
  const then = new Date(Date.now() - hours * 3_600_000)
  utimesSync(path, then, then)
  afterAll(() => rmSync(path, { recursive: true, force: true }))
  return path
}

it("removes_what_a_killed_process_has_left_and_nothing_that_is_in_use", async () => {
  const abandoned = left(2)
  const used = left(0.5)
  const own = await Effect.runPromise(
    Effect.scoped(
      Effect.map(workFolder, (folder) => {
        expect(existsSync(folder)).toBe(true)
        return folder
      })
    )
  )
  expect(existsSync(own)).toBe(false)
  expect(existsSync(abandoned)).toBe(false)
  expect(existsSync(used)).toBe(true)
})
