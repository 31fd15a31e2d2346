import { randomUUID } from "node:crypto"
import { Messenger } from "@mahalla/core/plugin"
import { MessengerControl, messengerSuite } from "@mahalla/core/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { assert, describe, expect, it } from "@effect/vitest"
import { EmailConfig } from "./config.ts"
import { makeMessenger } from "./SmtpMessenger.ts"
import { mailServer } from "./test/mailServer.ts"

const from = "city@example.org"

const layer = Layer.effectContext(
  Effect.gen(function* () {
    const { faults, mails, port } = yield* mailServer
    const { messenger } = yield* makeMessenger({ host: "127.0.0.1", port, tls: "none", from })
    return Context.make(Messenger, messenger).pipe(
      Context.add(MessengerControl, {
        next: (fault) => Effect.sync(() => void faults.push(fault)),
        delivered: (to) => Effect.sync(() => mails.filter((mail) => mail.to === to))
      })
    )
  })
)

messengerSuite.run(
  { describe, it },
  {
    name: "e-mail by SMTP",
    layer,
    skip: [
      {
        rule: "calls a lost answer unknown, and a repeat does not deliver twice",
        reason: "SMTP has no ids: a repeat after a lost answer is a second mail with the same Message-ID"
      }
    ]
  }
)

const notice = (change: object = {}) => ({
  id: randomUUID(),
  to: "auditor@example.org",
  subject: "Checkpoint",
  text: "A line.",
  language: "en",
  class: "notice" as const,
  ...change
})

describe("e-mail", () => {
  it.live("calls_a_lost_answer_unknown_and_repeats_under_the_same_message_id", () =>
    Effect.gen(function* () {
      const { faults, mails, port } = yield* mailServer
      const { messenger } = yield* makeMessenger({ host: "127.0.0.1", port, tls: "none", from })
      const asked = notice()
      faults.push("lost-after")
      assert.strictEqual((yield* messenger.send(asked)).state, "unknown")
      assert.strictEqual((yield* messenger.send(asked)).state, "accepted")
      assert.deepEqual(
        mails.map(({ id }) => id),
        [asked.id, asked.id]
      )
    }).pipe(Effect.scoped)
  )

  it.live("lets_no_line_of_a_message_become_a_header_or_a_command", () =>
    Effect.gen(function* () {
      const { mails, port } = yield* mailServer
      const { messenger } = yield* makeMessenger({ host: "127.0.0.1", port, tls: "none", from, fromName: "The City" })
      const subject = "Hello\r\nBcc: everybody@example.org\r\n\r\nand more"
      const text = "First.\n.\nQUIT\n.\nLast."
      yield* messenger.send(notice({ subject, text }))
      const [mail, ...others] = mails
      assert.deepEqual(others, [])
      assert.strictEqual(mail!.text, text)
      assert.notMatch(mail!.raw, /^bcc:/im)
      assert.match(mail!.raw, /^from: The City <city@example\.org>/im)
      assert.match(mail!.raw, /^auto-submitted: auto-generated/im)
      for (const to of ["a@b.example, c@d.example", "a@b.example>", "<a@b.example", "nobody"])
        assert.strictEqual((yield* Effect.flip(messenger.send(notice({ to })))).reason, "InvalidRequest")
      assert.strictEqual(mails.length, 1)
    }).pipe(Effect.scoped)
  )

  it.live("carries_both_forms_of_a_text_and_the_way_to_end_such_mail", () =>
    Effect.gen(function* () {
      const { mails, port } = yield* mailServer
      const { messenger } = yield* makeMessenger({ host: "127.0.0.1", port, tls: "none", from })
      const unsubscribe = `https://city.example/v1/unsubscribe/${"x".repeat(120)}?t=1`
      const html = "<p>Қабул қилинди</p>"
      assert.strictEqual((yield* messenger.send(notice({ html, unsubscribe, class: "bulk" }))).state, "accepted")
      const { raw } = mails[0]!
      assert.match(raw, /^content-type: multipart\/alternative/im)
      assert.match(raw, /^content-type: text\/plain/im)
      assert.match(raw, /^content-type: text\/html/im)
      assert.include(raw.replaceAll(/\r\n[ \t]+/g, " "), `List-Unsubscribe: <${unsubscribe}>`)
      assert.match(raw, /^list-unsubscribe-post: List-Unsubscribe=One-Click\r$/im)
      for (const wrong of [
        "http://city.example/u",
        "https://city.example/u>\r\nBcc: a@b.example",
        "https://city.example/a b",
        "mailto:a@b.example"
      ])
        assert.strictEqual(
          (yield* Effect.flip(messenger.send(notice({ unsubscribe: wrong })))).reason,
          "InvalidRequest",
          wrong
        )
      yield* messenger.send(notice())
      assert.notMatch(mails[1]!.raw, /^list-unsubscribe/im)
    }).pipe(Effect.scoped)
  )

  it.live("takes_no_address_that_could_be_read_in_two_ways", () =>
    Effect.gen(function* () {
      const { mails, port } = yield* mailServer
      const { messenger } = yield* makeMessenger({ host: "127.0.0.1", port, tls: "none", from })
      for (const to of [
        '"a b"@example.org',
        '"evil@example.net x"@example.org',
        "citizen(comment)@example.org",
        "citizen@example.org(comment)",
        "citizen@[127.0.0.1]",
        "group: a@example.org;",
        "Name <a@example.org>",
        "a@b@example.org",
        `${"x".repeat(65)}@example.org`
      ])
        assert.strictEqual((yield* Effect.flip(messenger.send(notice({ to })))).reason, "InvalidRequest", to)
      assert.deepEqual(mails, [])
    }).pipe(Effect.scoped)
  )

  it.live("sends_nothing_in_clear_where_TLS_is_required", () =>
    Effect.gen(function* () {
      const { mails, port, users } = yield* mailServer
      const { messenger } = yield* makeMessenger({
        host: "127.0.0.1",
        port,
        from,
        user: "city",
        password: Redacted.make("right")
      })
      // The server's certificate is its own.
      const error = yield* Effect.flip(messenger.send(notice()))
      assert.deepInclude(error, { reason: "Unavailable", retryable: true })
      assert.deepEqual([mails, users], [[], []])
    }).pipe(Effect.scoped)
  )

  it.live("says_who_is_not_let_in_and_what_is_not_there", () =>
    Effect.gen(function* () {
      const { port } = yield* mailServer
      const settings = { host: "127.0.0.1", tls: "none", from, user: "city" } as const
      const wrong = yield* makeMessenger({ ...settings, port, password: Redacted.make("wrong") })
      assert.strictEqual((yield* Effect.flip(wrong.messenger.send(notice()))).reason, "Unauthorized")
      const right = yield* makeMessenger({ ...settings, port, password: Redacted.make("right") })
      assert.strictEqual((yield* right.messenger.send(notice())).state, "accepted")
      const nobody = yield* makeMessenger({ ...settings, port: 9, password: Redacted.make("right") })
      assert.strictEqual((yield* Effect.flip(nobody.messenger.send(notice()))).reason, "Unavailable")
    }).pipe(Effect.scoped)
  )

  it("refuses_settings_that_cannot_work", () => {
    const decode = Schema.decodeUnknownExit(EmailConfig)
    expect(decode({ host: "mail.example", from })._tag).toBe("Success")
    for (const wrong of [{ from: "nobody" }, { from: "a@b.example\r\nBcc: c@d.example" }, { port: 0 }, { host: "" }])
      expect(decode({ host: "mail.example", from, ...wrong })._tag).toBe("Failure")
  })
})
