/** An edge that listens with TLS: by MQTT and HTTP, and where somebody knocks and says nothing. */
import { execFileSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { request } from "node:https"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { connectAsync } from "mqtt"
import { afterAll, beforeAll, expect, test } from "vitest"
import { ensureProgram } from "../../../../scripts/services/debian.ts"
import { edgeStatus, openEdge } from "./index.ts"

const folder = mkdtempSync(join(tmpdir(), "mahalla-edge-listeners-"))
const tls = { certificate: join(folder, "edge.pem"), key: join(folder, "edge.key") }
/** It signs itself, so whoever is to believe it is given it. */
let ca: Buffer
beforeAll(async () => {
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  const name = ["-subj", "/CN=edge", "-addext", "subjectAltName=IP:127.0.0.1"]
  const files = ["-keyout", tls.key, "-out", tls.certificate]
  execFileSync(await ensureProgram("openssl"), ["req", "-x509", "-days", "2", ...curve, ...name, ...files], {
    stdio: "pipe"
  })
  ca = readFileSync(tls.certificate)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const opened = (within: Scope.Scope, options: Partial<Parameters<typeof openEdge>[0]>) =>
  Effect.runPromise(
    Scope.provide(
      openEdge({ folder, listen: [], to: "http://127.0.0.1:9", token: "gateway-token", open: true, ...options }),
      within
    )
  )

const post = async (address: string) => {
  const asked = request(`${address}/api/v1/meter/telemetry`, { method: "POST", ca, agent: false })
  asked.end('{"n": 1}')
  const [response] = (await once(asked, "response")) as [{ readonly statusCode: number; resume: () => void }]
  response.resume()
  return response.statusCode
}

test("devices_send_by_MQTT_and_HTTP_with_TLS", async () => {
  const edge = Scope.makeUnsafe()
  const listen = ["mqtts://127.0.0.1:0", "https://127.0.0.1:0"]
  const { addresses } = await opened(edge, { listen, tls })
  expect(addresses.map((address) => new URL(address).protocol)).toEqual(["mqtts:", "https:"])
  const [broker, door] = addresses as [string, string]
  const client = await connectAsync(broker, { username: "meter", ca, reconnectPeriod: 0 })
  await client.publishAsync("v1/devices/me/telemetry", '{"n": 2}', { qos: 1 })
  await client.endAsync()
  expect(await post(door)).toBe(200)
  expect((await edgeStatus(folder)).backlog).toBe(2)
  // Without its certificate nobody believes it.
  await expect(connectAsync(broker, { username: "meter", reconnectPeriod: 0 })).rejects.toThrow(/certificate/)
  // A connection without a handshake does not hold up the end.
  const silent = connect(Number(new URL(door).port), "127.0.0.1")
  silent.on("error", () => undefined)
  await once(silent, "connect")
  const began = performance.now()
  await Effect.runPromise(Scope.close(edge, Exit.void))
  expect(performance.now() - began).toBeLessThan(10_000)
  silent.destroy()
})

test("without_a_certificate_or_with_one_that_is_not_there_it_says_so", async () => {
  const failing = async (listen: string, given?: typeof tls) => {
    const edge = Scope.makeUnsafe()
    try {
      await opened(edge, { listen: [listen], ...(given === undefined ? {} : { tls: given }) })
      return "open"
    } catch (error) {
      return (error as Error).message
    } finally {
      await Effect.runPromise(Scope.close(edge, Exit.void))
    }
  }
  const nowhere = { certificate: join(folder, "none.pem"), key: tls.key }
  for (const scheme of ["mqtts", "https"]) {
    expect(await failing(`${scheme}://127.0.0.1:0`)).toContain("give a certificate and its key")
    expect(await failing(`${scheme}://127.0.0.1:0`, nowhere)).toContain("none.pem")
  }
  expect(await failing("coap://127.0.0.1:0")).toContain("an edge listens on mqtt:// and http://")
})
