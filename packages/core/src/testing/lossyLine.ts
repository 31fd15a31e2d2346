/** A line to PostgreSQL on which the answer to a COMMIT gets lost: the transaction took place, and its client never hears of it. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import * as Effect from "effect/Effect"

export interface LossyLine {
  /** The server's address through the line. */
  readonly url: string
  /** The next answer to a COMMIT, on any connection, is swallowed and the connection broken. */
  readonly loseNextCommit: () => void
  /** From now on this share of all commits, 0–1. */
  readonly lose: (share: number) => void
  /** Commits whose answer was lost. */
  readonly lost: () => number
}

export const lossyLine = (postgresUrl: string) =>
  Effect.gen(function* () {
    const server = new URL(postgresUrl)
    const sockets = new Set<Socket>()
    let armed = false
    let rate = 0
    let lost = 0
    const line = createServer((near) => {
      const far = connect(Number(server.port), server.hostname)
      const cut = () => {
        near.destroy()
        far.destroy()
      }
      for (const socket of [near, far]) {
        sockets.add(socket)
        socket.on("error", cut)
        socket.on("close", cut)
      }
      near.on("data", (chunk) => far.write(chunk))
      far.on("data", (chunk) => {
        // What the server says when it has committed; the client's words may be a prepared statement's name.
        if ((!armed && rate === 0) || !chunk.includes("COMMIT\0")) return near.write(chunk)
        if (!armed && Math.random() >= rate) return near.write(chunk)
        armed = false
        lost++
        cut()
        return false
      })
    })
    yield* Effect.acquireRelease(
      Effect.promise(() => new Promise<void>((resolve) => line.listen(0, "127.0.0.1", resolve))),
      () =>
        Effect.promise(() => {
          for (const socket of sockets) socket.destroy()
          return new Promise<void>((resolve) => line.close(() => resolve()))
        })
    )
    const through = new URL(postgresUrl)
    through.hostname = "127.0.0.1"
    through.port = String((line.address() as AddressInfo).port)
    return {
      url: through.toString(),
      loseNextCommit: () => void (armed = true),
      lose: (share) => void (rate = share),
      lost: () => lost
    } satisfies LossyLine
  })
