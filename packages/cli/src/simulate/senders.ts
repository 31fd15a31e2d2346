/** The two ways from a simulated gateway to a city; both answer when the city has acknowledged. */
import { connectAsync } from "mqtt"
import { reasonOf } from "../demo/client.ts"

/** `refused`: the city keeps it as a dead letter and said so, which MQTT 3.1.1 cannot. */
export type Heard = "taken" | "refused"

export interface Sender {
  /** ThingsBoard's gateway JSON through one of the gateways. Rejects only after `close`. */
  readonly send: (gateway: number, body: string) => Promise<Heard>
  readonly close: () => Promise<void>
}

type Tokens = ReadonlyArray<{ readonly name: string; readonly token: string }>

/** One connection for each gateway; what was not acknowledged is sent again on the next connection. */
export const mqttSender = async (url: string, gateways: Tokens): Promise<Sender> => {
  const clients = await Promise.all(
    gateways.map(({ name, token }) =>
      connectAsync(
        url,
        { username: token, clientId: name, clean: false, reconnectPeriod: 500, connectTimeout: 10_000 },
        false
      ).catch((error: unknown) => {
        throw new Error(`The broker ${url} cannot be reached (${reasonOf(error)}). Does it listen there?`, {
          cause: error
        })
      })
    )
  )
  for (const client of clients) client.on("error", () => undefined)
  return {
    send: async (gateway, body) => {
      await clients[gateway]!.publishAsync("v1/gateway/telemetry", body, { qos: 1 })
      return "taken"
    },
    close: async () => {
      await Promise.all(clients.map((client) => client.endAsync(true)))
    }
  }
}

const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds))

export const httpSender = (base: string, gateways: Tokens): Sender => {
  let open = true
  return {
    send: async (gateway, body) => {
      for (let wait = 100; open; wait = Math.min(5_000, wait * 2)) {
        const status = await fetch(`${base}/ingest/gateway`, {
          method: "POST",
          headers: { "content-type": "application/json", authorization: `Bearer ${gateways[gateway]!.token}` },
          body
        }).then(
          async (response) => {
            await response.arrayBuffer()
            return response.status
          },
          () => 0
        )
        if (status === 200) return "taken"
        if (status === 422) return "refused"
        if (status === 401 || status === 403) throw new Error(`The city does not know the gateway's token (${status}).`)
        await pause(wait)
      }
      throw new Error("closed")
    },
    close: async () => void (open = false)
  }
}
