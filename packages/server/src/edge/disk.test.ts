/** A disk that is really full. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { afterAll, expect, test } from "vitest"
import { edgeStatus, openEdge } from "./index.ts"

/** A disk of one megabyte; undefined where this system gives none. */
const smallDisk = (): string | undefined => {
  const disk = mkdtempSync(join(tmpdir(), "mahalla-edge-disk-"))
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "none", disk], { stdio: "ignore" })
    return disk
  } catch {
    rmSync(disk, { recursive: true, force: true })
    return undefined
  }
}
const disk = smallDisk()
afterAll(() => {
  if (disk === undefined) return
  execFileSync("umount", ["-l", disk])
  rmSync(disk, { recursive: true, force: true })
})

test.skipIf(disk === undefined)(
  "on_a_full_disk_nothing_more_is_taken_nothing_is_lost_and_the_city_makes_room",
  async () => {
    const scope = Scope.makeUnsafe()
    const heard = new Set<number>()
    let away = true
    const city = createServer((request, response) => {
      let body = ""
      request.setEncoding("utf8").on("data", (piece: string) => (body += piece))
      request.on("end", () => {
        if (!away) for (const [, n] of body.matchAll(/"n":(\d+)/g)) heard.add(Number(n))
        response.writeHead(away ? 503 : 200, { "mahalla-outcome": "stored" }).end()
      })
    }).listen(0, "127.0.0.1")
    await once(city, "listening")
    const to = `http://127.0.0.1:${(city.address() as AddressInfo).port}`
    const { addresses } = await Effect.runPromise(
      Scope.provide(
        openEdge({
          folder: disk!,
          listen: ["http://127.0.0.1:0"],
          to,
          token: "token",
          open: true,
          segmentBytes: 100_000
        }),
        scope
      )
    )
    const post = async (n: number, size = 20_000) => {
      const body = JSON.stringify({ n, note: "x".repeat(size) })
      return (await fetch(`${addresses[0]!}/api/v1/meter/telemetry`, { method: "POST", body })).status
    }
    const taken: Array<number> = []
    let n = 0
    for (; ; n++) {
      const status = await post(n)
      if (status === 200) taken.push(n)
      else {
        expect(status).toBe(503)
        break
      }
    }
    expect(taken.length).toBeGreaterThan(20)
    // To the last byte, so that not even a note of what was brought can be written.
    while (statfsSync(disk!).bavail > 0)
      writeFileSync(join(disk!, `filler-${n++}`), Buffer.alloc(Math.min(statfsSync(disk!).bavail, 8) * 4_096))
    expect(await post(n++, 10)).toBe(503)
    expect((await edgeStatus(disk!)).backlog).toBe(taken.length)
    away = false
    for (let left = 200; (await edgeStatus(disk!)).backlog > 0; left--) {
      expect(left).toBeGreaterThan(0)
      await new Promise((later) => setTimeout(later, 50))
    }
    expect(await post(n)).toBe(200)
    while (!heard.has(n)) await new Promise((later) => setTimeout(later, 20))
    expect([...heard]).toEqual([...taken, n])
    await Effect.runPromise(Scope.close(scope, Exit.void))
    city.closeAllConnections()
    city.close()
  }
)
