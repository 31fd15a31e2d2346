/** Sends readings of one device by MQTT for as long as it is let, and remembers what was acknowledged. Each waits for the one before. */
import { connect } from "mqtt"
import { type MessageOf, tokenOf } from "./plan.ts"

export interface Publisher {
  /** Places of the readings that were acknowledged. */
  readonly acknowledged: Set<number>
  readonly sent: () => number
  /** Sends no more, and waits until all that was sent is acknowledged. */
  readonly stop: () => Promise<void>
}

/**
 * `topic`: the city's own broker knows the device by its token; to another one it must say its name. `rest`: milliseconds before the next ones, which
 * another broker takes faster than a city stores them.
 */
export const startPublisher = (
  url: string,
  device: string,
  messageOf: MessageOf,
  topic = "v1/devices/me/telemetry",
  rest = 2
): Publisher => {
  const client = connect(url, {
    username: tokenOf(device),
    clientId: device,
    clean: false,
    reconnectPeriod: 100,
    connectTimeout: 2000,
    keepalive: 5
  })
  client.on("error", () => {})
  const acknowledged = new Set<number>()
  let [next, going] = [0, true]
  let under = 0
  const idle: Array<() => void> = []
  const send = () => {
    // Some at once: what the broker has in its hands when it is killed.
    while (going && under < 20) {
      const place = next++
      under++
      client.publish(topic, messageOf(place), { qos: 1 }, (error) => {
        under--
        if (error == null) acknowledged.add(place)
        if (going) setTimeout(send, rest)
        else if (under === 0) for (const done of idle.splice(0)) done()
      })
    }
  }
  client.once("connect", send)
  return {
    acknowledged,
    sent: () => next,
    stop: async () => {
      going = false
      if (under > 0) await new Promise<void>((done) => idle.push(done))
      await client.endAsync(true)
    }
  }
}
