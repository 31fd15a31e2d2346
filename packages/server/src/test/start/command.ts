/** `mahalla dev` as a real process. */
import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Command {
  readonly child: ChildProcess
  /** Where it listens; rejects with its words when it ends before. */
  readonly ready: Promise<string>
  readonly ended: Promise<Ended>
  /** Everything it has said so far, on both streams. */
  readonly said: () => string
  /** Until it says this; at most ten seconds. */
  readonly says: (text: string) => Promise<void>
}

const main = join(import.meta.dirname, "../../../../cli/src/main.ts")

export const dev = (home: string, env: Readonly<Record<string, string>> = {}): Command => {
  const child = spawn(
    process.execPath,
    [
      ...["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"],
      ...[main, "dev", "--json", "--dir", import.meta.dirname]
    ],
    { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, PORT: "0", MAHALLA_HOME: home, ...env } }
  )
  let text = ""
  const hearers = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString()
      for (const hear of hearers) hear()
    })
  const ended = new Promise<Ended>((resolve) => child.once("close", (code, signal) => resolve({ code, signal })))
  const found = <A>(look: () => A | undefined) =>
    new Promise<A>((resolve) => {
      const hear = () => {
        const result = look()
        if (result === undefined) return
        hearers.delete(hear)
        resolve(result)
      }
      hearers.add(hear)
      hear()
    })
  const url = found(() => /"ready":true,"url":"([^"]+)"/.exec(text)?.[1])
  const ready = Promise.race([
    url,
    ended.then(({ code, signal }) => {
      throw new Error(`It ended with ${signal ?? code}: ${text}`)
    })
  ])
  // Tests of servers that do not start never look at it.
  ready.catch(() => undefined)
  return {
    child,
    ready,
    ended,
    said: () => text,
    says: (words) =>
      Promise.race([
        found(() => (text.includes(words) ? true : undefined)).then(() => undefined),
        new Promise<void>((_, reject) =>
          setTimeout(() => reject(new Error(`It did not say "${words}": ${text}`)), 10_000).unref()
        )
      ])
  }
}
