/** Devices that speak CoAP by the `coap` package's client, for the conformance suite. */
import { DeviceIngestDriver, type DeviceWire, type Heard } from "@mahalla/core/testing"
import { Agent, type IncomingMessage, request } from "coap"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** Posts once from a socket of its own (the client closes it by itself), confirmably, and gives the response's code; undefined where none came. */
export const post = (address: string, path: string, payload: Uint8Array, format = "application/json") =>
  Effect.callback<string | undefined>((resume) => {
    const { hostname, port } = new URL(address.replace("coap:", "http:"))
    const [pathname = "", query = ""] = path.split("?")
    const asked = request({
      hostname,
      port: Number(port),
      method: "POST",
      pathname,
      query,
      confirmable: true,
      agent: new Agent({ type: "udp4" })
    })
    asked.setOption("Content-Format", format)
    asked.on("response", (response: IncomingMessage) => resume(Effect.succeed(response.code)))
    asked.on("error", () => resume(Effect.succeed(undefined)))
    asked.on("timeout", () => resume(Effect.succeed(undefined)))
    asked.end(Buffer.from(payload))
  })

const heard = (code: string | undefined): Heard =>
  code === "2.04" ? "acknowledged" : code === undefined || code.startsWith("5.") ? "unanswered" : "refused"

const wireOf = (address: string, token: string): DeviceWire => {
  const send = (payload: Uint8Array) => Effect.map(post(address, `/api/v1/${token}/telemetry`, payload), heard)
  return {
    send,
    flood: (payload, most) =>
      Effect.gen(function* () {
        let taken = 0
        while (taken < most) {
          let refused = 0
          const one = Effect.tap(send(payload), (word) =>
            Effect.sync(() => (refused += word === "acknowledged" ? 0 : 1))
          )
          for (let count = 0; count < 20; count++) yield* Effect.forkChild(one)
          // Who is not told to come back is still waiting for the commit.
          yield* Effect.sleep(300)
          taken += (20 - refused) * payload.byteLength
          if (refused === 20) break
        }
        return taken
      }),
    command: Effect.never
  }
}

export const coapDriver = Layer.succeed(DeviceIngestDriver, {
  lacks: ["topics", "commands", "connections", "pipelining", "waiting"],
  connect: ({ addresses: [address] }, credential) =>
    Effect.succeed(wireOf(address ?? "", credential.kind === "token" ? credential.token : ""))
})
