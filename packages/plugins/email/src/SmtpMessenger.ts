/**
 * E-mail by SMTP. A server that has answered nothing to a whole message may have taken it: that is `unknown`, and a repeat has the same
 * Message-ID, by which mailboxes know it again.
 */
import { Readable } from "node:stream"
import {
  type Message,
  Messenger,
  MessengerError,
  type MessengerReason,
  sendOnce,
  type SendOutcome
} from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import nodemailer from "nodemailer"
import type { Bounces } from "./bounces.ts"
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

const addressPattern = /^[^\s@<>,;:"()[\]\\]{1,64}@[A-Za-z0-9.-]{1,253}$/

/** The one kind of address that ends mail with a POST of the reader's program (RFC 8058); nothing of it can become another header. */
const oneClick = /^https:\/\/[^\s<>,"\u007f-\uffff]{1,900}$/

const mistake = ({ to, unsubscribe }: Message): string | undefined => {
  if (!addressPattern.test(to)) return "This is no e-mail address."
  if (unsubscribe !== undefined && !oneClick.test(unsubscribe))
    return "The address that ends such mail is no https address."
  return undefined
}

export const makeMessenger = Effect.fnUntraced(function* (config: EmailConfig, bounces?: Bounces) {
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
          // Objects: nothing of them is parsed again.
          from: { name: fromName ?? "", address: from },
          to: { name: "", address: message.to },
          ...(bounces === undefined ? {} : { envelope: { from: bounces.pathOf(message.id), to: [message.to] } }),
          subject: (message.subject ?? message.text.split("\n")[0] ?? "")
            .replaceAll(/[\u0000-\u001f\u007f]+/g, " ")
            .slice(0, 200),
          // Read when the server is ready for it, and not before.
          text: Readable.from(text(), { objectMode: false }),
          ...(message.html === undefined ? {} : { html: message.html }),
          messageId: `<${message.id}@${domain}>`,
          headers: {
            "Auto-Submitted": "auto-generated",
            "Content-Language": message.language,
            ...(message.unsubscribe === undefined
              ? {}
              : {
                  "List-Unsubscribe": { prepared: true, value: `<${message.unsubscribe}>` },
                  "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"
                })
          }
        }),
      catch: (cause) => cause as SmtpFault
    }).pipe(
      Effect.map((): SendOutcome => ({ state: "accepted", reference: message.id })),
      Effect.catch((fault) => judge(message.id, fault, begun))
    )
  }

  const send = sendOnce(hand, mistake)

  return {
    messenger: Messenger.of({ channel: "email", send, receipts: bounces?.receipts ?? Stream.never }),
    verify: Effect.tryPromise({ try: () => transport.verify(), catch: (cause) => cause as Error })
  }
})
