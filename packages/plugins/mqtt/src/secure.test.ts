/** An outside broker over TLS: who it is and who we are, on the real Mosquitto. */
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { fakeIngestHost } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import { assert, describe, it } from "@effect/vitest"
import type { MqttConsumerConfig } from "./consumer/config.ts"
import { serveConsumer } from "./consumer/MqttConsumer.ts"
import { authority } from "./test/authority.ts"
import { mosquitto, programs } from "../../../../scripts/services/mosquitto.ts"

const run = promisify(execFile)

const waitFor = (holds: () => boolean) =>
  Effect.gen(function* () {
    for (let tries = 0; tries < 400 && !holds(); tries++) yield* Effect.sleep(25)
    assert.isTrue(holds())
  })

/** A Mosquitto that lets in whoever has a certificate of `ours`; it may call itself by `place`. */
const secured = (place: string) =>
  Effect.gen(function* () {
    const ours = yield* authority
    const broker = yield* ours.issue("broker", place)
    const { port } = yield* mosquitto([
      `cafile ${ours.certificate}`,
      `certfile ${broker.certificate}`,
      `keyfile ${broker.key}`,
      "require_certificate true",
      "use_identity_as_username true"
    ])
    return { ours, port, url: `mqtts://127.0.0.1:${port}` }
  })

/** What a consumer says of itself, and what it takes. */
const consuming = (config: Pick<MqttConsumerConfig, "url" | "authority" | "client">) =>
  Effect.gen(function* () {
    const fake = yield* fakeIngestHost()
    const said: Array<{ readonly status: string; readonly detail?: string }> = []
    yield* serveConsumer({ ...config, clientId: "city-1", tenant: "samarkand" }, fake.host, (state) => said.push(state))
    return { fake, said }
  })

describe("consumer of Mosquitto over TLS", () => {
  it.live("shows_its_certificate_and_takes_messages_of_a_broker_that_its_authority_has_signed", () =>
    Effect.gen(function* () {
      const { ours, port, url } = yield* secured("IP:127.0.0.1")
      const client = yield* ours.issue("city")
      const { fake, said } = yield* consuming({ url, authority: ours.certificate, client })
      yield* waitFor(() => said.at(-1)?.status === "up")
      const meter = yield* ours.issue("meter-1")
      const shown = ["--cafile", ours.certificate, "--cert", meter.certificate, "--key", meter.key]
      const message = ["-q", "1", "-t", "mahalla/samarkand/meter-1/telemetry", "-m", '{"n":1}']
      yield* Effect.promise(() =>
        run(programs["mosquitto_pub"]!, ["-h", "127.0.0.1", "-p", String(port), ...shown, ...message])
      )
      yield* waitFor(() => fake.committed.length === 1)
    }).pipe(Effect.scoped)
  )

  it.live("without_a_certificate_is_not_let_in_and_says_so", () =>
    Effect.gen(function* () {
      const { ours, url } = yield* secured("IP:127.0.0.1")
      const { said } = yield* consuming({ url, authority: ours.certificate })
      yield* waitFor(() => said.length >= 2)
      assert.deepEqual(new Set(said.map(({ status }) => status)), new Set(["down"]))
      assert.strictEqual(said.at(-1)!.detail, "tlsv13 alert certificate required")
    }).pipe(Effect.scoped)
  )

  it.live("tells_nothing_to_a_broker_of_another_authority_or_of_another_name", () =>
    Effect.gen(function* () {
      const { ours, url } = yield* secured("DNS:broker.example")
      const others = yield* authority
      const client = yield* ours.issue("city")
      for (const [trusted, words] of [
        [others.certificate, /self.signed|unable to (verify|get)/i],
        [ours.certificate, /127\.0\.0\.1 is not in the cert/i]
      ] as const) {
        const { said } = yield* consuming({ url, authority: trusted, client })
        yield* waitFor(() => said.length > 0)
        assert.strictEqual(said[0]!.status, "down")
        assert.match(said[0]!.detail ?? "", words)
      }
    }).pipe(Effect.scoped)
  )

  it.live("says_which_file_is_missing_or_does_not_fit", () =>
    Effect.gen(function* () {
      const ours = yield* authority
      const [city, other] = [yield* ours.issue("city"), yield* ours.issue("other")]
      const url = "mqtts://127.0.0.1:1"
      const missing = yield* Effect.flip(consuming({ url, client: { ...city, key: "/no/key.pem" } }))
      assert.include(missing.message, "/no/key.pem")
      const unfit = yield* Effect.flip(consuming({ url, client: { ...city, key: other.key } }))
      assert.deepInclude(unfit, { reason: "InvalidRequest", subject: city.certificate })
    }).pipe(Effect.scoped)
  )
})
