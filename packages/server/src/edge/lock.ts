/** One edge for a folder: it holds a socket in it. The socket's file stays after a kill; then nobody answers there, and the next one takes it. */
import { rm } from "node:fs/promises"
import { connect, createServer, type Server } from "node:net"
import { join, relative, resolve } from "node:path"
import * as Effect from "effect/Effect"

const listen = (path: string) =>
  new Promise<Server>((taken, refused) => {
    const server = createServer((socket) => socket.destroy())
    server.once("error", refused)
    server.listen(path, () => taken(server))
  })

const answers = (path: string) =>
  new Promise<boolean>((told) => {
    const socket = connect(path)
    socket.once("connect", () => {
      socket.destroy()
      told(true)
    })
    socket.once("error", () => told(false))
  })

/** Systems allow about a hundred bytes for a socket's name. */
const pathOf = (folder: string): string => {
  const path = resolve(folder, "lock")
  if (process.platform === "win32") return `\\\\.\\pipe\\${path.replaceAll(/[^A-Za-z0-9]+/g, "-")}`
  const near = relative(process.cwd(), path)
  return near.length < path.length ? join(".", near) : path
}

const take = async (folder: string): Promise<Server> => {
  const path = pathOf(folder)
  try {
    return await listen(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error
    if (await answers(path)) throw new Error(`Another edge is at work in ${folder}. Stop it, or choose another folder.`)
    await rm(path, { force: true })
    return listen(path)
  }
}

/** Until the scope's end. */
export const lockFolder = (folder: string) =>
  Effect.acquireRelease(Effect.tryPromise({ try: () => take(folder), catch: (error) => error as Error }), (server) =>
    Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )
