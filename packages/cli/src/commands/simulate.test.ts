/** `mahalla simulate` where nobody is there to hear it. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { makeClient } from "../demo/client.ts"
import { mqttSender } from "../simulate/senders.ts"

const main = join(import.meta.dirname, "../main.ts")

const simulate = async (...args: ReadonlyArray<string>) => {
  const flags = ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"]
  const child = spawn(process.execPath, [...flags, main, "simulate", ...args], { stdio: ["ignore", "pipe", "pipe"] })
  let said = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk.toString()))
  const [code] = (await once(child, "close")) as [number | null]
  return { code, said }
}

/** Of a port at which nobody listens any more. */
const closedPort = async () => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, "close")
  return port
}

describe("mahalla simulate", { timeout: 120_000 }, () => {
  it("says_what_is_wrong_with_an_address_and_that_nobody_answers_there", async () => {
    const whom = ["--tenant", "town", "--token", "none"]
    const wrong = await simulate("--url", "city.example", ...whom)
    expect([wrong.code, wrong.said]).toEqual([64, expect.stringContaining("--url takes an address")])
    const away = await simulate("--url", `http://127.0.0.1:${await closedPort()}`, ...whom)
    expect([away.code, away.said]).toEqual([1, expect.stringContaining("cannot be reached (ECONNREFUSED)")])
  })

  it("names_the_broker_that_does_not_answer_however_many_addresses_it_has", async () => {
    const url = `mqtt://localhost:${await closedPort()}`
    const gateways = [{ name: "g", token: "t" }]
    await expect(mqttSender(url, gateways)).rejects.toThrow(`The broker ${url} cannot be reached (ECONNREFUSED)`)
  })

  it("does_not_take_a_page_for_a_citys_answer", async () => {
    const server = createServer((_, response) => response.end("<!doctype html>")).listen(0, "127.0.0.1")
    await once(server, "listening")
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    await expect(makeClient(url, "town").get("/v1/device-profiles")).rejects.toThrow(
      `${url} answered 200 and no JSON. Is this the address of a city?`
    )
    server.close()
  })
})
