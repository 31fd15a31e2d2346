/** A real SMTP server that keeps what it takes and misbehaves as told. */
import type { AddressInfo, Socket } from "node:net"
import type { MessengerFault } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import { SMTPServer, type SMTPServerSession } from "smtp-server"

export interface Mail {
  /** From the Message-ID, without its domain. */
  readonly id: string
  readonly to: string
  readonly text: string
  /** All of it, as it came. */
  readonly raw: string
}

/** Text of a mail with one part. */
const textOf = (raw: string): string => {
  const [head = "", ...rest] = raw.split("\r\n\r\n")
  const body = rest.join("\r\n\r\n")
  const coding = /^content-transfer-encoding: *(\S+)/im.exec(head)?.[1]?.toLowerCase()
  const bytes =
    coding === "base64"
      ? Buffer.from(body, "base64")
      : coding === "quoted-printable"
        ? Buffer.from(
            body
              .replaceAll(/=\r\n/g, "")
              .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
            "latin1"
          )
        : Buffer.from(body, "latin1")
  return bytes.toString("utf8").replaceAll("\r\n", "\n").replace(/\n$/, "")
}

const refusal = (code: number, message: string) => Object.assign(new Error(message), { responseCode: code })

export const mailServer = Effect.acquireRelease(
  Effect.promise(async () => {
    const mails: Array<Mail> = []
    const faults: Array<MessengerFault> = []
    const users: Array<string> = []
    /** Return paths, in the order of the mails. */
    const paths: Array<string> = []
    const keep = (raw: string, session: SMTPServerSession) => {
      const to = session.envelope.rcptTo[0]?.address ?? ""
      const { mailFrom } = session.envelope
      paths.push(mailFrom === false ? "" : mailFrom.address)
      mails.push({ id: /^message-id: *<([^@>]+)@/im.exec(raw)?.[1] ?? "", to, text: textOf(raw), raw })
    }
    const sockets = new Set<Socket>()
    const server = new SMTPServer({
      authOptional: true,
      closeTimeout: 100,
      allowInsecureAuth: true,
      onAuth: (auth, _session, done) => {
        users.push(auth.username ?? "")
        if (auth.password === "right") done(null, { user: auth.username ?? "" })
        else done(new Error("Invalid user or password"))
      },
      onMailFrom: (_address, _session, done) => {
        const fault = faults[0]
        if (fault === "unavailable") done(refusal((faults.shift(), 421), "Closing"))
        else if (fault === "rate-limited") done(refusal((faults.shift(), 450), "Too much"))
        else done()
      },
      onRcptTo: (_address, _session, done) =>
        faults[0] === "refused" ? done(refusal((faults.shift(), 550), "No such user")) : done(),
      onData: (stream, session, done) => {
        const chunks: Array<Buffer> = []
        stream.on("data", (chunk: Buffer) => chunks.push(chunk))
        stream.on("end", () => {
          const fault = faults.shift()
          if (fault !== "lost-before") keep(Buffer.concat(chunks).toString("latin1"), session)
          if (fault === "lost-before" || fault === "lost-after") for (const socket of sockets) socket.destroy()
          else done(null, "taken")
        })
      }
    })
    server.server.on("connection", (socket: Socket) => {
      sockets.add(socket)
      socket.on("close", () => sockets.delete(socket))
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const { port } = server.server.address() as AddressInfo
    return { server, port, mails, faults, users, paths }
  }),
  ({ server }) => Effect.promise(() => new Promise<void>((resolve) => server.close(() => resolve())))
)
