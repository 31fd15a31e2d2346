/** Mail that comes back, brought by a mail server's own hand: nodemailer speaks SMTP to the listener. */
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import nodemailer from "nodemailer"
import { type Bounces, listenForBounces, readReport } from "./bounces.ts"
import { makeMessenger } from "./SmtpMessenger.ts"
import { mailServer } from "./test/mailServer.ts"

const domain = "bounces.example.org"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "mahalla-bounces-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** What Postfix sends, shortened. */
const report = (fields: string, subject = "Undelivered Mail Returned to Sender") =>
  [
    "From: MAILER-DAEMON@mx.example.net (Mail Delivery System)",
    `Subject: ${subject}`,
    "MIME-Version: 1.0",
    'Content-Type: multipart/report; report-type=delivery-status; boundary="B/1"',
    "",
    "--B/1",
    "Content-Type: text/plain; charset=us-ascii",
    "",
    "I'm sorry to have to inform you that your message could not be delivered.",
    "Action: delivered",
    "--B/1",
    "Content-Type: message/delivery-status",
    "",
    "Reporting-MTA: dns; mx.example.net",
    "",
    "Final-Recipient: rfc822; nobody@example.net",
    ...fields.split("\n"),
    "Diagnostic-Code: smtp; 550 5.1.1 unknown",
    "",
    "--B/1",
    "Content-Type: message/rfc822",
    "",
    "Subject: Your report",
    "Content-Type: message/delivery-status",
    "",
    "Action: delivered",
    "--B/1--",
    ""
  ].join("\r\n")

const failed = report("Action: failed\nStatus: 5.1.1")

/** As another mail server brings it; its answer's code, 250 when it was taken. */
const bring = (port: number, to: string, raw: string | Buffer) =>
  Effect.promise(async () => {
    const transport = nodemailer.createTransport({ host: "127.0.0.1", port, secure: false, ignoreTLS: true })
    try {
      await transport.sendMail({ envelope: { from: "", to: [to] }, raw })
      return 250
    } catch (error) {
      return (error as { readonly responseCode?: number }).responseCode
    } finally {
      transport.close()
    }
  })

const hear = (bounces: Bounces) =>
  Effect.gen(function* () {
    const heard: Array<string> = []
    yield* Effect.forkScoped(
      Stream.runForEach(bounces.receipts, ({ code, id, state }) =>
        Effect.sync(() => void heard.push(`${id} ${state} ${code}`))
      ),
      { startImmediately: true }
    )
    return heard
  })

const listening = Effect.flatMap(folder, (home) =>
  listenForBounces({ domain, host: "127.0.0.1", port: 0 }, home, "email")
)

describe("mail that comes back", () => {
  it.live("is_a_receipt_of_the_message_that_it_was", () =>
    Effect.gen(function* () {
      const bounces = yield* listening
      const heard = yield* hear(bounces)
      const { mails, paths, port } = yield* mailServer
      const { messenger } = yield* makeMessenger(
        { host: "127.0.0.1", port, tls: "none", from: "city@example.org" },
        bounces
      )
      const asked = {
        id: randomUUID(),
        to: "nobody@example.net",
        subject: "Your report",
        text: "Accepted.",
        language: "en",
        class: "notice" as const
      }
      assert.strictEqual((yield* messenger.send(asked)).state, "accepted")
      // People answer to the city, machines to the return path.
      assert.match(mails[0]!.raw, /^from: city@example\.org/im)
      assert.match(paths[0]!, /^bounce-[0-9a-f]{32}-[0-9a-f]{16}@bounces\.example\.org$/)
      assert.strictEqual(yield* bring(bounces.port, paths[0]!, failed), 250)
      assert.strictEqual(yield* bring(bounces.port, paths[0]!.toUpperCase(), failed), 250)
      yield* Effect.sleep(50)
      assert.deepEqual(heard, [`${asked.id} failed 5.1.1`, `${asked.id} failed 5.1.1`])
    }).pipe(Effect.scoped)
  )

  it.live("is_taken_at_return_paths_of_ours_only", () =>
    Effect.gen(function* () {
      const bounces = yield* listening
      const heard = yield* hear(bounces)
      const path = bounces.pathOf(randomUUID())
      const other = bounces.pathOf(randomUUID()).slice(0, 40)
      for (const to of [
        "postmaster@bounces.example.org",
        path.replace(domain, "example.org"),
        `${other}${path.slice(40)}`,
        path.replace(/-[0-9a-f]{16}@/, "-0000000000000000@")
      ])
        assert.strictEqual(yield* bring(bounces.port, to, failed), 550, to)
      // Somebody who is on holiday, a report that it is late, and noise.
      for (const raw of [
        "Subject: Out of office\r\n\r\nAction: failed\r\n",
        report("Action: delayed\nStatus: 4.4.1"),
        "\u0000"
      ])
        assert.strictEqual(yield* bring(bounces.port, path, raw), 250)
      assert.strictEqual(yield* bring(bounces.port, path, Buffer.alloc(300_000, "a\r\n")), 552)
      yield* Effect.sleep(50)
      assert.deepEqual(heard, [])
    }).pipe(Effect.scoped)
  )

  it.live("is_known_after_a_restart", () =>
    Effect.gen(function* () {
      const home = yield* folder
      const open = listenForBounces({ domain, host: "127.0.0.1", port: 0 }, home, "email")
      const id = randomUUID()
      const path = yield* Effect.scoped(Effect.map(open, ({ pathOf }) => pathOf(id)))
      const again = yield* open
      const heard = yield* hear(again)
      assert.strictEqual(yield* bring(again.port, path, failed), 250)
      yield* Effect.sleep(50)
      assert.deepEqual(heard, [`${id} failed 5.1.1`])
    }).pipe(Effect.scoped)
  )

  it("says_how_it_ended", async () => {
    const read = (fields: string) => readReport(Buffer.from(report(fields)))
    assert.deepEqual(await read("Action: failed\nStatus: 5.2.2"), { state: "failed", code: "5.2.2" })
    assert.deepEqual(await read("Action: failed\nStatus: 4.4.7"), { state: "expired", code: "4.4.7" })
    assert.deepEqual(await read("Action: delivered\nStatus: 2.0.0"), { state: "delivered", code: "2.0.0" })
    assert.deepEqual(await read("ACTION: Failed\nStatus: nonsense"), { state: "failed" })
    for (const none of ["Action: relayed\nStatus: 2.0.0", "Status: 5.1.1"]) assert.isUndefined(await read(none))
  })
})
