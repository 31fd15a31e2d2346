/** `mahalla simulate` where nobody is there to hear it. */
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { describe, expect, it } from "vitest"
import { freePort } from "../../../../scripts/services/port.ts"
import { makeClient } from "../demo/client.ts"
import { lasting } from "../simulate/lasting.ts"
import { mqttSender } from "../simulate/senders.ts"
import { runCommand } from "../test/command.ts"

const simulate = (...args: ReadonlyArray<string>) => runCommand(["simulate", ...args])

describe("mahalla simulate", { timeout: 120_000 }, () => {
  it("says_what_is_wrong_with_an_address_and_that_nobody_answers_there", async () => {
    const whom = ["--tenant", "town", "--token", "none"]
    const wrong = await simulate("--url", "city.example", ...whom)
    expect([wrong.code, wrong.said]).toEqual([64, expect.stringContaining("--url takes an address")])
    const away = await simulate("--url", `http://127.0.0.1:${await freePort()}`, ...whom)
    expect([away.code, away.said]).toEqual([1, expect.stringContaining("cannot be reached (ECONNREFUSED)")])
  })

  it("names_the_broker_that_does_not_answer_however_many_addresses_it_has", async () => {
    const url = `mqtt://localhost:${await freePort()}`
    const gateways = [{ name: "g", token: "t" }]
    await expect(mqttSender(url, gateways)).rejects.toThrow(`The broker ${url} cannot be reached (ECONNREFUSED)`)
  })

  it("signs_in_once_for_all_who_are_told_that_the_token_ran_out", async () => {
    const good = new Set(["first"])
    const server = createServer((request, response) => {
      const { authorization = "" } = request.headers
      const known = good.has(authorization.slice("Bearer ".length))
      response.writeHead(known ? 200 : 401).end(JSON.stringify(known ? { authorization } : { title: "Unauthorized" }))
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    let signedIn = 0
    const client = lasting(makeClient(url, "town", "first"), async () => {
      good.add(`anew ${++signedIn}`)
      return `anew ${signedIn}`
    })
    const ask = () => Promise.all([client.get("/a"), client.post("/b", {}), client.get("/c")])
    const told = (token: string) => Array.from({ length: 3 }, () => ({ authorization: `Bearer ${token}` }))
    expect(await ask()).toEqual(told("first"))
    good.clear()
    expect(await ask()).toEqual(told("anew 1"))
    good.clear()
    expect(await ask()).toEqual(told("anew 2"))
    expect(signedIn).toBe(2)
    server.close()
  })

  it("says_that_a_given_token_must_last", async () => {
    const server = createServer((_, response) => response.writeHead(401).end(`{"title": "Unauthorized"}`)).listen(0)
    await once(server, "listening")
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const { code, said } = await simulate("--url", url, "--tenant", "town", "--token", "old")
    expect([code, said]).toEqual([1, expect.stringContaining("must last for the whole run")])
    server.close()
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
