/** `mahalla simulate` where nobody is there to hear it. */
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { describe, expect, it } from "vitest"
import { freePort } from "../../../../scripts/services/port.ts"
import { makeClient } from "../demo/client.ts"
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
