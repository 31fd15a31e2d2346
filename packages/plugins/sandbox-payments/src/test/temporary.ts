import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"

const folders: Array<string> = []
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** A folder that goes when the test file has run. */
export const temporary = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "mahalla-payments-"))
  folders.push(folder)
  return folder
}
