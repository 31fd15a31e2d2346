import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { afterAll, beforeEach, expect, test, vi } from "vitest"
import { crc32c } from "./crc32c.ts"
import { type EdgeLog, EdgeLogFull, openEdgeLog, type Place } from "./EdgeLog.ts"
import { bodyAt, type EdgeRecord, frameOf, type Moment, recordOf } from "./frame.ts"

const home = mkdtempSync(join(tmpdir(), "mahalla-edge-log-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))

let folder: string
let runs = 0
beforeEach(() => void (folder = join(home, String(++runs))))

const moment: Moment = { wall: 1_700_000_000_000, uptime: 5_000, boot: "first" }
const record = (n: number, size = 0): EdgeRecord => ({
  device: `meter-${n % 3}`,
  gateway: n % 3 === 0,
  format: "json",
  receivedAt: moment.wall + n,
  payload: Buffer.from(JSON.stringify({ n }) + " ".repeat(size))
})
const opened = (options: { readonly limit?: number; readonly segmentBytes?: number; readonly after?: number } = {}) =>
  openEdgeLog({ folder, limit: 1e9, segmentBytes: 2_000, ...options })

const all = async (log: EdgeLog, from: Place = log.first()) => {
  const found: Array<number> = []
  for (let piece = await log.read(from, 600); piece !== undefined; piece = await log.read(piece.next, 600))
    found.push(...piece.records.map(({ payload }) => Number(JSON.parse(Buffer.from(payload).toString()).n)))
  return found
}
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)
const newest = () =>
  join(
    folder,
    readdirSync(folder)
      .filter((name) => name.endsWith(".log"))
      .sort()
      .at(-1)!
  )

test("the_checksum_is_Castagnolis", () => {
  expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283)
})

test("a_record_says_whether_a_gateway_sent_it_and_one_of_before_counts_as_it_did", () => {
  const written = (gateway: boolean) => frameOf({ ...record(0), gateway })
  const read = (frame: Buffer) => recordOf(bodyAt(frame, 0) as Buffer)
  expect([true, false].map((gateway) => read(written(gateway)))).toEqual(
    [true, false].map((gateway) => ({ ...record(0), gateway }))
  )
  // `json` has the place 1 and stood alone in its byte.
  expect(written(true)[16]).toBe(1)
})

test("messages_come_back_in_order_over_segments_and_openings", async () => {
  for (const part of [0, 1, 2]) {
    const log = await opened()
    await Promise.all(range(part * 50, part * 50 + 50).map((n) => log.append([record(n)], moment)))
    await log.close()
  }
  const log = await opened()
  expect(await all(log)).toEqual(range(0, 150))
  expect(readdirSync(folder)).toHaveLength(3)
  await log.close()
})

test("whatever_a_power_cut_leaves_behind_the_last_sync_costs_nothing_that_was_taken", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 40 }),
      fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.constant(new Uint8Array(4_096))),
      fc.boolean(),
      async (count, garbage, whole) => {
        folder = join(home, String(++runs))
        const log = await opened({ segmentBytes: 100_000 })
        await log.append(
          range(0, count).map((n) => record(n)),
          moment
        )
        await log.close()
        if (whole) appendFileSync(newest(), garbage)
        else {
          // A message that was half written.
          const size = statSync(newest()).size
          const again = await opened({ segmentBytes: 100_000 })
          await again.append([record(count, 50)], moment)
          await again.close()
          const other = readFileSync(newest()).subarray(0, -7)
          writeFileSync(newest(), other)
          expect(size).toBeGreaterThan(0)
        }
        const after = await opened({ segmentBytes: 100_000 })
        expect(await all(after)).toEqual(range(0, count))
        await after.append([record(count)], moment)
        expect(await all(after)).toEqual(range(0, count + 1))
        await after.close()
        const last = await opened()
        expect(await all(last)).toEqual(range(0, count + 1))
        await last.close()
      }
    ),
    { numRuns: 40 }
  )
})

test("damage_in_the_middle_costs_what_it_hit_and_the_file_is_kept", async () => {
  const log = await opened({ segmentBytes: 100_000 })
  await log.append(
    range(0, 100).map((n) => record(n)),
    moment
  )
  await log.close()
  const bytes = readFileSync(newest())
  bytes.fill(0xff, 1_500, 1_600)
  writeFileSync(newest(), bytes)
  const again = await opened()
  const found = await all(again)
  const gap = found.findIndex((n, index) => n !== index)
  expect([gap > 20, found.length > 94]).toEqual([true, true])
  expect(found).toEqual([...range(0, gap), ...range(100 - (found.length - gap), 100)])
  expect(again.damaged()).toBeGreaterThanOrEqual(100)
  expect(readdirSync(folder).filter((name) => name.endsWith(".damaged"))).toHaveLength(1)
  await again.close()
})

test("a_full_log_takes_no_more_and_drops_nothing", async () => {
  const log = await opened({ limit: 3_000, segmentBytes: 1_000 })
  let taken = 0
  let error: unknown
  while (error === undefined)
    await log.append([record(taken)], moment).then(
      () => taken++,
      (reason: unknown) => (error = reason)
    )
  expect(error).toBeInstanceOf(EdgeLogFull)
  expect(await all(log)).toEqual(range(0, taken))
  const piece = await log.read(log.first(), 1)
  let place = piece!.next
  while (place.segment === piece!.segment) place = (await log.read(place, 1))!.next
  await log.release(place)
  await log.append([record(taken)], moment)
  expect((await all(log)).at(-1)).toBe(taken)
  await log.close()
})

test("a_small_log_goes_on_when_all_of_it_was_read_also_in_batches_as_large_as_it_is", async () => {
  const log = await opened({ limit: 3_000, segmentBytes: 8_388_608 })
  const batch = (from: number, count: number) => range(from, from + count).map((n) => record(n, 50))
  await log.append(batch(0, 20), moment)
  await expect(log.append(batch(20, 20), moment)).rejects.toBeInstanceOf(EdgeLogFull)
  let place = log.first()
  const readOn = async () => {
    const found: Array<number> = []
    for (let piece = await log.read(place, 600); piece !== undefined; piece = await log.read(place, 600)) {
      found.push(...piece.records.map(({ payload }) => Number(JSON.parse(Buffer.from(payload).toString()).n)))
      place = piece.next
      await log.release(place)
    }
    return found
  }
  expect(await readOn()).toEqual(range(0, 20))
  await log.append(batch(20, 60), moment)
  expect(await readOn()).toEqual(range(20, 80))
  expect(log.bytes()).toBeLessThan(750)
  await log.close()
})

test("what_was_released_is_gone_and_new_segments_come_behind_it", async () => {
  const log = await opened()
  await log.append(
    range(0, 100).map((n) => record(n)),
    moment
  )
  let place = log.first()
  for (let piece = await log.read(place, 600); piece !== undefined; piece = await log.read(place, 600))
    place = piece.next
  await log.close()
  const again = await opened({ after: place.segment })
  await again.release(place)
  expect([readdirSync(folder), again.bytes()]).toEqual([[], 0])
  await again.close()
  const last = await opened({ after: place.segment })
  await last.append([record(100)], moment)
  expect(await all(last, place)).toEqual([100])
  await last.close()
})

test("what_the_disk_cannot_read_any_more_is_damage_and_the_rest_arrives", async () => {
  const log = await opened({ segmentBytes: 100_000 })
  await log.append(
    range(0, 200).map((n) => record(n, 100)),
    moment
  )
  await log.close()
  const bad = { from: 8_192, to: 12_288 }
  const probe = await open(newest(), "r")
  const prototype = Object.getPrototypeOf(probe) as FileHandle
  await probe.close()
  // oxlint-disable-next-line typescript/unbound-method -- called with the handle it was asked of
  const { read } = prototype
  // A block of the disk that is worn out: whoever asks for any of its bytes gets nothing.
  const reading = vi.spyOn(prototype, "read").mockImplementation(function (
    this: FileHandle,
    ...given: ReadonlyArray<unknown>
  ) {
    const [, , length, position] = given as [Buffer, number, number, number]
    return position < bad.to && position + length > bad.from
      ? Promise.reject(Object.assign(new Error("EIO: i/o error, read"), { code: "EIO" }))
      : (Reflect.apply(read, this, given) as never)
  })
  try {
    const again = await opened()
    const found = await all(again)
    const gap = found.findIndex((n, index) => n !== index)
    expect([gap > 40, found.length > 165]).toEqual([true, true])
    expect(found).toEqual([...range(0, gap), ...range(200 - (found.length - gap), 200)])
    expect(again.damaged()).toBeGreaterThanOrEqual(bad.to - bad.from)
    const copy = readFileSync(
      join(
        folder,
        readdirSync(folder).find((name) => name.endsWith(".damaged"))!
      )
    )
    expect([copy.length, copy.subarray(bad.from, bad.to).every((byte) => byte === 0)]).toEqual([
      statSync(newest()).size,
      true
    ])
    await again.close()
  } finally {
    reading.mockRestore()
  }
})

test("a_place_where_nothing_can_be_read_is_passed_and_its_file_released", async () => {
  const log = await opened({ segmentBytes: 100_000 })
  await log.append(
    range(0, 20).map((n) => record(n)),
    moment
  )
  await log.close()
  const [file] = readdirSync(folder)
  writeFileSync(join(folder, file!), Buffer.alloc(statSync(newest()).size, 0xff))
  // Not the newest one any more, which is cut where it is not whole.
  writeFileSync(join(folder, "000000000002.log"), "")
  const again = await opened()
  const piece = await again.read(again.first(), 600)
  expect([piece?.records, again.damaged() > 0]).toEqual([[], true])
  expect(await again.read(piece!.next, 600)).toBeUndefined()
  await again.release(piece!.next)
  expect(readdirSync(folder)).not.toContain(file)
  await again.close()
})

test("a_clock_that_is_set_begins_a_segment_of_its_own", async () => {
  const log = await opened({ segmentBytes: 1e6 })
  const later = (uptime: number, wall: number): Moment => ({ boot: "first", uptime, wall })
  await log.append([record(0)], later(1_000, 100_000))
  await log.append([record(1)], later(61_000, 160_500))
  await log.append([record(2)], later(62_000, 1_700_000_000_000))
  expect(log.moments().map(({ moment: one }) => one?.wall)).toEqual([100_000, 1_700_000_000_000])
  await log.close()
})

test("a_file_that_was_cut_in_its_beginning_stops_nobody", async () => {
  const log = await opened()
  await log.append([record(0)], moment)
  await log.close()
  truncateSync(newest(), 5)
  const again = await opened()
  await again.append([record(1)], moment)
  expect(await all(again)).toEqual([1])
  await again.close()
})
