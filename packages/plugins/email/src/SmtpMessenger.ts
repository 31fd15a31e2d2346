/**
 * E-mail by SMTP. A server that has answered nothing to a whole message may have taken it: that is `unknown`, and a repeat has the same
 * Message-ID, by which mailboxes know it again.
 */
import { createHash } from "node:crypto"
import { Readable } from "node:stream"
import {
  type Message,
  Messenger,
  MessengerError,
  type MessengerReason,
  messageMistake,
  type SendOutcome
} from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import nodemailer from "nodemailer"
import type { EmailConfig } from "./config.ts"

const failure = (reason: MessengerReason, subject: string, message: string, cause?: unknown) =>
  new MessengerError({
    reason,
    operation: "send",
    subject,
    message,
    retryable: reason === "Unavailable" || reason === "RateLimited",
    ...(cause === undefined ? {} : { cause })
  })

/** What the library says went wrong. */
interface SmtpFault {
  readonly code?: string
  /** The server's own number, where it said one. */
  readonly responseCode?: number
}

/** `begun`: whether any of the message had left. Causes are left out of errors: they hold the address. */
const judge = (id: string, fault: SmtpFault, begun: boolean): Effect.Effect<SendOutcome, MessengerError> => {
  const { code = "", responseCode } = fault
  if (code === "EAUTH")
    return Effect.fail(
      failure("Unauthorized", id, "The mail server does not take the user and password. Correct them in the settings.")
    )
  if (responseCode !== undefined) {
    if (responseCode >= 500)
      return Effect.succeed({
        state: "refused",
        code: String(responseCode),
        message: `The mail server refused the message with ${responseCode}.`
      })
    const busy = responseCode === 450 || responseCode === 451 || responseCode === 452
    const said = `The mail server answered ${responseCode}; try again later.`
    return Effect.fail(failure(busy ? "RateLimited" : "Unavailable", id, said))
  }
  if (!begun) {
    const said = `The mail server cannot be reached (${code}). Check its name, port and certificate.`
    return Effect.fail(failure("Unavailable", id, said))
  }
  return Effect.succeed({ state: "unknown", message: `The connection to the mail server broke off (${code}).` })
}

const digestOf = ({ language, subject, text, to }: Message) =>
  createHash("sha256")
    .update(JSON.stringify([to, subject ?? null, text, language]))
    .digest("base64")

/** Ids whose messages are remembered; further back a repeat is sent again. */
const remembered = 10_000

const addressPattern = /^[^\s@<>,;:"()[\]\\]{1,64}@[A-Za-z0-9.-]{1,253}$/

export const makeMessenger = Effect.fnUntraced(function* (config: EmailConfig) {
  const port = config.port ?? 587
  const { from, fromName, host, password, user } = config
  const transport = yield* Effect.acquireRelease(
    Effect.sync(() =>
      nodemailer.createTransport({
        host,
        port,
        secure: port === 465,
        requireTLS: config.tls !== "none",
        ignoreTLS: config.tls === "none",
        ...(user === undefined ? {} : { auth: { user, pass: password === undefined ? "" : Redacted.value(password) } }),
        pool: true,
        maxConnections: 4,
        connectionTimeout: 10_000,
        greetingTimeout: 10_000,
        socketTimeout: 30_000,
        // Nothing of a message is ever a path or an address to be fetched.
        disableFileAccess: true,
        disableUrlAccess: true
      })
    ),
    (open) => Effect.sync(() => open.close())
  )
  const known = new Map<
    string,
    { readonly digest: string; readonly outcome: Deferred.Deferred<SendOutcome, MessengerError> }
  >()
  const domain = from.split("@")[1]!

  const hand = (message: Message) => {
    let begun = false
    const text = function* () {
      begun = true
      yield message.text
    }
    return Effect.tryPromise({
      try: () =>
        transport.sendMail({
          from: fromName === undefined ? from : { name: fromName, address: from },
          to: message.to,
          subject: (message.subject ?? message.text.split("\n")[0] ?? "")
            .replaceAll(/[\u0000-\u001f\u007f]+/g, " ")
            .slice(0, 200),
          // Read when the server is ready for it, and not before.
          text: Readable.from(text(), { objectMode: false }),
          messageId: `<${message.id}@${domain}>`,
          headers: { "Auto-Submitted": "auto-generated", "Content-Language": message.language }
        }),
      catch: (cause) => cause as SmtpFault
    }).pipe(
      Effect.map((): SendOutcome => ({ state: "accepted", reference: message.id })),
      Effect.catch((fault) => judge(message.id, fault, begun))
    )
  }

  const send = Effect.fn("Messenger.send")(function* (message: Message): Effect.fn.Return<SendOutcome, MessengerError> {
    const wrong =
      messageMistake(message) ?? (addressPattern.test(message.to) ? undefined : "This is no e-mail address.")
    if (wrong !== undefined) return yield* failure("InvalidRequest", message.id, wrong)
    const now = yield* Clock.currentTimeMillis
    if (message.expiresAt !== undefined && message.expiresAt <= now)
      return { state: "refused", code: "expired", message: "The message had expired before it was sent." }
    const digest = digestOf(message)
    const before = known.get(message.id)
    if (before !== undefined) {
      if (before.digest !== digest)
        return yield* failure("InvalidRequest", message.id, "This id was used for another message; take a new one.")
      return yield* Deferred.await(before.outcome)
    }
    const outcome = yield* Deferred.make<SendOutcome, MessengerError>()
    known.set(message.id, { digest, outcome })
    if (known.size > remembered) known.delete(known.keys().next().value!)
    // What was begun goes on when its caller is interrupted: others may wait for the same one.
    return yield* Effect.uninterruptible(
      Effect.gen(function* () {
        const exit = yield* Effect.exit(hand(message))
        // Anything but a last word may be tried again.
        if (exit._tag === "Failure" || exit.value.state === "unknown") known.delete(message.id)
        yield* Deferred.done(outcome, exit)
        return yield* exit
      })
    )
  })

  return {
    messenger: Messenger.of({ channel: "email", send, receipts: Stream.never }),
    verify: Effect.tryPromise({ try: () => transport.verify(), catch: (cause) => cause as Error })
  }
})
