/**
 * What comes back: each mail has a return path of its own (VERP), at a domain whose mail comes to a listener of ours. A report of the standard
 * form (RFC 3464) becomes a receipt of that very message; anything else that arrives there is dropped.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { type DeliveryReceipt, PluginError } from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import PostalMime from "postal-mime"
import { SMTPServer } from "smtp-server"
import type { EmailConfig } from "./config.ts"

/** Bytes of a report; they quote the headers, and some the whole mail. */
const largest = 262_144
/** Receipts that wait for a listener; the oldest go first. */
const mostReceipts = 10_000

export interface Bounces {
  /** Return path of a message. */
  readonly pathOf: (id: string) => string
  readonly receipts: Stream.Stream<DeliveryReceipt>
  /** Where the listener is. */
  readonly port: number
}

const secretIn = async (home: string): Promise<Buffer> => {
  const path = join(home, "bounces.key")
  await mkdir(home, { recursive: true, mode: 0o700 })
  // Whoever comes second takes what the first has made.
  await writeFile(path, randomBytes(32), { mode: 0o600, flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error
  })
  return readFile(path)
}

const compact = (id: string) => id.replaceAll("-", "").toLowerCase()
const proofOf = (secret: Buffer, id: string) => createHmac("sha256", secret).update(id).digest("hex").slice(0, 16)

/** The message whose return path this is; undefined when we have made no such path. */
const messageOf = (secret: Buffer, domain: string, address: string): string | undefined => {
  const [, id = "", proof = "", host = ""] =
    /^bounce-([0-9a-f]{32})-([0-9a-f]{16})@(.+)$/.exec(address.toLowerCase()) ?? []
  if (host !== domain.toLowerCase()) return undefined
  if (!timingSafeEqual(Buffer.from(proof), Buffer.from(proofOf(secret, id)))) return undefined
  return id.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
}

const field = (text: string, name: string) => new RegExp(`^${name}:[ \\t]*(\\S+)`, "im").exec(text)?.[1]

/** How it ended, by the report; undefined for what is none, or says that it is late or on its way. */
export const readReport = async (raw: Uint8Array): Promise<Pick<DeliveryReceipt, "state" | "code"> | undefined> => {
  const mail = await PostalMime.parse(raw, { forceRfc822Attachments: true, maxNestingDepth: 8, maxHeadersSize: 65_536 })
  const report = mail.attachments.find(({ mimeType }) => mimeType === "message/delivery-status")
  if (report === undefined || typeof report.content === "string") return undefined
  const text = new TextDecoder("latin1").decode(report.content)
  const status = field(text, "Status")
  const code = status !== undefined && /^[245]\.\d{1,3}\.\d{1,3}$/.test(status) ? { code: status } : {}
  switch (field(text, "Action")?.toLowerCase()) {
    case "delivered":
      return { state: "delivered", ...code }
    case "failed":
      // 4.4.7: it waited until its time was over.
      return { state: status?.endsWith(".4.7") === true ? "expired" : "failed", ...code }
    default:
      return undefined
  }
}

const refusal = (code: number, message: string) => Object.assign(new Error(message), { responseCode: code })

export const listenForBounces = Effect.fnUntraced(function* (
  config: NonNullable<EmailConfig["bounces"]>,
  home: string,
  instance: string
) {
  const { domain, host = "0.0.0.0", port = 25 } = config
  const failed = (cause: unknown) =>
    new PluginError({
      plugin: "@mahalla/email",
      instance,
      reason: "Failed",
      message: `Nothing can be heard of mail that comes back: ${cause instanceof Error ? cause.message : String(cause)}. Check the port and the plugin's folder.`,
      cause
    })
  const secret = yield* Effect.tryPromise({ try: () => secretIn(home), catch: failed })
  const context = yield* Effect.context<never>()
  const receipts = yield* Queue.sliding<DeliveryReceipt>(mostReceipts)

  const take = Effect.fnUntraced(function* (raw: Uint8Array, ids: ReadonlyArray<string>) {
    const ended = yield* Effect.promise(() => readReport(raw).catch(() => undefined))
    if (ended === undefined) return
    const at = yield* Clock.currentTimeMillis
    yield* Queue.offerAll(
      receipts,
      ids.map((id) => ({ id, at, ...ended }))
    )
  })

  const server = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () => {
        const made = new SMTPServer({
          banner: "bounces only",
          // Anybody may say that a mail came back, as to every mail server; there is nothing to hide, and no password.
          disabledCommands: ["AUTH", "STARTTLS"],
          disableReverseLookup: true,
          size: largest,
          maxClients: 50,
          socketTimeout: 30_000,
          closeTimeout: 1_000,
          onRcptTo: ({ address }, _session, done) =>
            done(messageOf(secret, domain, address) === undefined ? refusal(550, "No such address here") : undefined),
          onData: (stream, session, done) => {
            const parts: Array<Buffer> = []
            let size = 0
            stream.on("data", (part: Buffer) => {
              size += part.length
              if (size <= largest) parts.push(part)
            })
            stream.on("error", done)
            stream.on("end", () => {
              if (size > largest) return done(refusal(552, "Too long"))
              const ids = session.envelope.rcptTo.flatMap(({ address }) => messageOf(secret, domain, address) ?? [])
              Effect.runPromiseWith(context)(take(Buffer.concat(parts), ids)).then(() => done(), done)
            })
          }
        })
        // A client that breaks off is nobody's trouble.
        made.on("error", () => {})
        return new Promise<SMTPServer>((resolve, reject) => {
          made.server.once("error", reject)
          made.listen(port, host, () => resolve(made))
        })
      },
      catch: failed
    }),
    (open) => Effect.promise(() => new Promise<void>((resolve) => open.close(() => resolve())))
  )
  const bound = server.server.address()
  return {
    pathOf: (id) => `bounce-${compact(id)}-${proofOf(secret, compact(id))}@${domain}`,
    receipts: Stream.fromQueue(receipts),
    port: bound !== null && typeof bound === "object" ? bound.port : port
  } satisfies Bounces
})
