import { appendFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { Book, digestOf, type Entry, numberDigest } from "./Book.ts"

const folders: Array<string> = []
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true })))
const folder = () => {
  folders.push(mkdtempSync(join(tmpdir(), "mahalla-book-")))
  return folders.at(-1)!
}
const open = async (home: string, most = 1_000) => {
  const book = new Book(home, most)
  await book.open()
  return book
}
const entry = (id: string, change: Partial<Entry> = {}): Entry => ({
  id,
  digest: digestOf({ id, to: "+998901234567", text: "A" }),
  to: numberDigest("998901234567"),
  state: "accepted",
  at: 1,
  parts: 1,
  references: [`ref-${id}`],
  ...change
})

describe("book of sent messages", () => {
  it("is_the_same_after_a_crash_in_the_middle_of_a_line", async () => {
    const home = folder()
    const book = await open(home)
    await Promise.all(["a", "b", "c"].map((id) => book.put(entry(id))))
    await book.put(entry("a", { receipt: { state: "delivered", at: 7 } }))
    // Not closed: killed.
    appendFileSync(join(home, "messages-current.ndjson"), '{"id":"d","dig')
    const again = await open(home)
    expect(again.find("a")?.receipt).toEqual({ state: "delivered", at: 7 })
    expect(again.find("d")).toBeUndefined()
    await again.put(entry("e"))
    const third = await open(home)
    expect(third.find("e")).toEqual(entry("e"))
    expect(third.withKeys(["ref-b", "ref-e"]).map(({ id }) => id)).toEqual(["b", "e"])
    expect(third.receiptsSince(7).map(({ id }) => id)).toEqual(["a"])
    expect(third.receiptsSince(8)).toEqual([])
  })

  it("forgets_the_oldest_and_does_not_grow_for_ever", async () => {
    const home = folder()
    const book = await open(home, 10)
    for (let n = 0; n < 35; n++) await book.put(entry(`m${n}`))
    const known = (one: Book) => Array.from({ length: 35 }, (_, n) => n).filter((n) => one.find(`m${n}`) !== undefined)
    expect(known(book)).toEqual(Array.from({ length: 15 }, (_, n) => n + 20))
    expect(book.withKeys(["ref-m3"])).toEqual([])
    await book.close()
    const again = await open(home, 10)
    expect(known(again)).toEqual(known(book))
    expect(readdirSync(home)).toHaveLength(2)
  })

  it("says_when_it_cannot_be_written", async () => {
    const book = await open(folder())
    await book.close()
    await expect(book.put(entry("a"))).rejects.toThrow("closed")
  })
})
