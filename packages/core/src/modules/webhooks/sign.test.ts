import { createPublicKey, verify } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Webhook } from "standardwebhooks"
import { makeSecret, signatures, signerOf } from "./sign.ts"

const body = JSON.stringify({ specversion: "1.0", id: "1", type: "webhook.test" })
const id = "evt_0198f3a2-7c44-7000-8000-000000000001"
const now = () => Math.floor(Date.now() / 1000)
const headersOf = (signature: string, timestamp = now()) => ({
  "webhook-id": id,
  "webhook-timestamp": String(timestamp),
  "webhook-signature": signature
})

describe("signatures", () => {
  it("are_accepted_by_the_verifier_of_standard_webhooks", () => {
    const { text } = makeSecret("v1")
    assert.match(text, /^whsec_/)
    const bytes = Buffer.from(text.slice(6), "base64").length
    assert.isTrue(bytes >= 24 && bytes <= 64)
    const signed = signatures([signerOf("v1", text)], id, now(), body)
    assert.deepEqual(new Webhook(text).verify(body, headersOf(signed)), JSON.parse(body))
  })

  it("of_a_rotation_are_accepted_with_the_old_and_the_new_secret", () => {
    const [old, fresh, other] = [makeSecret("v1"), makeSecret("v1"), makeSecret("v1")]
    const signers = [fresh, old].map(({ kind, text }) => signerOf(kind, text))
    const headers = headersOf(signatures(signers, id, now(), body))
    for (const { text } of [old, fresh]) assert.doesNotThrow(() => new Webhook(text).verify(body, headers))
    assert.throws(() => new Webhook(other.text).verify(body, headers))
  })

  it("are_refused_when_anything_was_changed", () => {
    const { text } = makeSecret("v1")
    const webhook = new Webhook(text)
    const time = now()
    const good = headersOf(signatures([signerOf("v1", text)], id, time, body), time)
    assert.doesNotThrow(() => webhook.verify(body, good))
    const flipped = good["webhook-signature"].replace(/.(=*)$/, (_, end: string) => `_${end}`)
    for (const [changed, headers] of [
      [`${body} `, good],
      [body, { ...good, "webhook-id": `${id}x` }],
      [body, { ...good, "webhook-timestamp": String(time + 1) }],
      [body, { ...good, "webhook-signature": flipped }],
      [body, { ...good, "webhook-signature": good["webhook-signature"].replace("v1,", "v1a,") }]
    ] as const)
      assert.throws(() => webhook.verify(changed, headers))
    const late = headersOf(signatures([signerOf("v1", text)], id, time - 600, body), time - 600)
    assert.throws(() => webhook.verify(body, late))
  })

  it("by_key_pair_are_verified_with_the_public_key_and_stand_beside_the_others", () => {
    const [shared, pair] = [makeSecret("v1"), makeSecret("v1a")]
    assert.match(pair.text, /^whsk_/)
    const time = now()
    const signed = signatures(
      [shared, pair].map(({ kind, text }) => signerOf(kind, text)),
      id,
      time,
      body
    )
    const [first, second] = signed.split(" ")
    assert.isTrue(first!.startsWith("v1,") && second!.startsWith("v1a,"))
    // A receiver that knows only `v1` passes over the other.
    assert.doesNotThrow(() => new Webhook(shared.text).verify(body, headersOf(signed, time)))
    const open = Buffer.from(pair.publicKey!.replace(/^whpk_/, ""), "base64")
    assert.strictEqual(open.length, 32)
    const key = createPublicKey({
      key: { kty: "OKP", crv: "Ed25519", x: open.toString("base64url") },
      format: "jwk"
    })
    const holds = (text: string) => verify(null, Buffer.from(text), key, Buffer.from(second!.slice(4), "base64"))
    assert.isTrue(holds(`${id}.${time}.${body}`))
    assert.isFalse(holds(`${id}.${time}.${body} `))
  })
})
