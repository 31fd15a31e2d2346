/** A real browser for tests: Debian's Chromium without a window, spoken to by its DevTools protocol. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ensureProgram } from "../../../../scripts/services/debian.ts"
import { until } from "./client.ts"

export interface Page {
  /** Calls a method of the protocol, as `WebAuthn.enable`. */
  readonly send: <A>(method: string, params?: Readonly<Record<string, unknown>>) => Promise<A>
  /** Goes to an address and waits until it has loaded. */
  readonly open: (url: string) => Promise<void>
  /** Evaluates an expression in the page, awaits it, and gives its value as JSON does. */
  readonly evaluate: <A>(expression: string) => Promise<A>
  readonly close: () => Promise<void>
}

interface Reply {
  readonly id?: number
  readonly result?: unknown
  readonly error?: { readonly message: string }
}

export const openPage = async (): Promise<Page> => {
  const profile = await mkdtemp(join(tmpdir(), "mahalla-browser-"))
  const browser = spawn(
    await ensureProgram("chromium"),
    [
      "--headless=new",
      // Root has no sandbox, and the pages are our own.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--no-first-run",
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
      "about:blank"
    ],
    { stdio: "ignore" }
  )
  const port = await until("the browser", async () => {
    const text = await readFile(join(profile, "DevToolsActivePort"), "utf8").catch(() => "")
    return /^\d+/.exec(text)?.[0]
  })
  const page = await until("a page", async () => {
    const targets = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as ReadonlyArray<{
      readonly type: string
      readonly webSocketDebuggerUrl: string
    }>
    return targets.find((target) => target.type === "page")?.webSocketDebuggerUrl
  })
  const socket = new WebSocket(page)
  await once(socket, "open")
  const waiting = new Map<number, (reply: Reply) => void>()
  socket.addEventListener("message", ({ data }) => {
    const reply = JSON.parse(String(data)) as Reply
    if (reply.id !== undefined) waiting.get(reply.id)?.(reply)
  })
  let last = 0
  const send = async <A>(method: string, params: Readonly<Record<string, unknown>> = {}): Promise<A> => {
    const id = ++last
    const { error, result } = await new Promise<Reply>((resolve) => {
      waiting.set(id, resolve)
      socket.send(JSON.stringify({ id, method, params }))
    })
    waiting.delete(id)
    if (error !== undefined) throw new Error(`${method}: ${error.message}`)
    return result as A
  }
  const evaluate = async <A>(expression: string): Promise<A> => {
    const { exceptionDetails, result } = await send<{
      readonly result: { readonly value: A }
      readonly exceptionDetails?: { readonly exception?: { readonly description?: string } }
    }>("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true, userGesture: true })
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? "The page failed")
    return result.value
  }
  return {
    send,
    evaluate,
    open: async (url) => {
      await send("Page.navigate", { url })
      await until(url, () =>
        evaluate<boolean>(
          `document.readyState === "complete" && location.href.startsWith(${JSON.stringify(url.split("#")[0])})`
        )
      )
    },
    close: async () => {
      socket.close()
      browser.kill("SIGTERM")
      await once(browser, "exit")
      await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    }
  }
}
