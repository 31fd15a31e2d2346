/** The SMPP messenger on a simulated centre. */
import { type Host as HostTag, Host, type Messenger } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { SmsSmppConfig } from "../smpp/config.ts"
import { makeSmppMessenger } from "../smpp/SmppMessenger.ts"

export const settings = (port: number, change: Partial<SmsSmppConfig> = {}): SmsSmppConfig => ({
  host: "127.0.0.1",
  port,
  tls: false,
  systemId: "city",
  password: Redacted.make("secret"),
  systemType: "",
  from: "Mahalla",
  bind: "transceiver",
  window: 10,
  pulse: 30,
  patience: 2,
  remember: 50_000,
  plainApostrophes: false,
  ...change
})

export const hostAt = (home: string): HostTag["Service"] => ({ instance: "sms", home, scratch: home, mode: "dev" })

export const smppAt = (home: string, port: number, change?: Partial<SmsSmppConfig>) =>
  Effect.provideService(makeSmppMessenger(settings(port, change)), Host, hostAt(home))

/** Hears in the background; what has come so far. */
export const hear = (messenger: Messenger["Service"]) =>
  Effect.gen(function* () {
    const heard: Array<string> = []
    yield* Effect.forkScoped(
      Stream.runForEach(messenger.receipts, ({ id, state }) => Effect.sync(() => void heard.push(`${id} ${state}`))),
      { startImmediately: true }
    )
    return heard
  })

/** Waits until it holds, at most ten seconds; asks every 20 ms. */
export const until = (holds: () => boolean | Promise<boolean>) =>
  Effect.gen(function* () {
    for (let tries = 0; tries < 500; tries++) {
      if (yield* Effect.promise(async () => holds())) return
      yield* Effect.sleep(20)
    }
    return yield* Effect.die(new Error(`still not: ${holds.toString()}`))
  })
