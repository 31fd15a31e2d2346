/** A day without network: everything waits on disk, memory stays as it is, and all of it comes when the network is back. `MAHALLA_SOAK=1`: a million. */
import { fork } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { freePort } from "../../../../scripts/services/port.ts"

const messages = process.env["MAHALLA_SOAK"] === "1" ? 1_000_000 : 150_000

test(`${messages}_messages_wait_on_disk_and_reach_the_city_in_order`, async () => {
  const folder = mkdtempSync(join(tmpdir(), "mahalla-edge-day-"))
  const port = await freePort()
  const task = JSON.stringify({ folder, messages, to: `http://127.0.0.1:${port}` })
  const child = fork(join(import.meta.dirname, "edge/day.ts"), [task], {
    execArgv: ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"],
    stdio: ["ignore", "ignore", "inherit", "ipc"]
  })
  try {
    const [taken] = (await once(child, "message")) as [{ most: number; seconds: number; bytes: number }]
    const seen = new Uint8Array(messages)
    /** By device: the newest number and its time. */
    const last = new Map<string, readonly [number, number]>()
    let disorder = 0
    const server = createServer((request, response) => {
      let body = ""
      request.setEncoding("utf8").on("data", (piece: string) => (body += piece))
      request.on("end", () => {
        if (request.method === "POST")
          for (const [device, entries] of Object.entries(
            JSON.parse(body) as Record<
              string,
              ReadonlyArray<{ readonly ts: number; readonly values: { readonly n: number } }>
            >
          ))
            for (const { ts, values } of entries) {
              const before = last.get(device) ?? [-1, -1]
              if (values.n <= before[0] || ts <= before[1]) disorder++
              last.set(device, [values.n, ts])
              seen[values.n]!++
            }
        response.writeHead(200, { "mahalla-outcome": "stored" }).end()
      })
    }).listen(port, "127.0.0.1")
    const began = performance.now()
    const [brought] = (await once(child, "message")) as [{ most: number; bytes: number }]
    const seconds = (performance.now() - began) / 1000
    server.closeAllConnections()
    server.close()
    expect([disorder, seen.every((times) => times === 1)]).toEqual([0, true])
    // One file at most, the one that is written.
    expect(brought.bytes).toBeLessThan(9_000_000)
    expect(taken.bytes).toBeGreaterThan(messages * 60)
    const mebibytes = (bytes: number) => Math.round(bytes / 1_048_576)
    expect(mebibytes(brought.most)).toBeLessThan(400)
    console.info(
      `${messages} messages: ${Math.round(messages / taken.seconds)}/s to disk (${mebibytes(taken.bytes)} MiB), ${Math.round(messages / seconds)}/s to the city, at most ${mebibytes(taken.most)} and ${mebibytes(brought.most)} MiB of memory`
    )
  } finally {
    child.kill("SIGKILL")
    rmSync(folder, { recursive: true, force: true })
  }
}, 600_000)
