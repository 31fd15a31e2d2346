/** A real Chromium without a window, spoken to over its DevTools protocol: what a citizen's browser makes of our pages. */
import { spawn } from "node:child_process"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ensureProgram } from "../../../../../scripts/services/debian.ts"
import { until } from "../client.ts"

export interface Tab {
  readonly open: (url: string) => Promise<void>
  /** The value of an expression in the page. */
  readonly read: <A>(expression: string) => Promise<A>
  /** Clicks what a selector finds, as a finger does. */
  readonly click: (selector: string) => Promise<void>
  readonly type: (selector: string, text: string) => Promise<void>
  readonly press: (key: "Tab" | "Enter" | "Space") => Promise<void>
  readonly screenshot: (file: string) => Promise<void>
  /** What the browser complained about. */
  readonly complaints: ReadonlyArray<string>
  /** Waits until an expression is true in whatever page is open then. */
  readonly settled: (expression: string) => Promise<void>
}

export interface Chromium {
  readonly tab: (options?: {
    readonly scripts?: boolean
    readonly language?: string
    readonly dark?: boolean
  }) => Promise<Tab>
  readonly close: () => Promise<void>
}

interface Message {
  readonly id?: number
  readonly sessionId?: string
  readonly method?: string
  readonly params?: Record<string, unknown>
  readonly result?: Record<string, unknown>
  readonly error?: { readonly message: string }
}

export const openChromium = async (): Promise<Chromium> => {
  const program = await ensureProgram("chromium")
  const profile = await mkdtemp(join(tmpdir(), "mahalla-chromium-"))
  const browser = spawn(
    program,
    [
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
      "about:blank"
    ],
    { stdio: "ignore" }
  )
  const [port = "", path = ""] = await until("Chromium is there", async () => {
    const lines = (await readFile(join(profile, "DevToolsActivePort"), "utf8").catch(() => "")).trim().split("\n")
    return lines.length === 2 && lines
  })
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`)
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve, { once: true })
    socket.addEventListener("error", reject, { once: true })
  })
  let last = 0
  const waiting = new Map<number, (message: Message) => void>()
  const listeners: Array<(message: Message) => void> = []
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(String(data)) as Message
    if (message.id !== undefined) waiting.get(message.id)?.(message)
    else for (const listen of listeners) listen(message)
  })
  const ask = (method: string, params: object, sessionId?: string) =>
    new Promise<Record<string, unknown>>((resolve, reject) => {
      const id = ++last
      waiting.set(id, (message) => {
        waiting.delete(id)
        if (message.error === undefined) resolve(message.result ?? {})
        else reject(new Error(`${method}: ${message.error.message}`))
      })
      socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }))
    })

  const tab: Chromium["tab"] = async ({ dark = false, language = "en", scripts = true } = {}) => {
    const { browserContextId } = await ask("Target.createBrowserContext", {})
    const { targetId } = await ask("Target.createTarget", {
      url: "about:blank",
      browserContextId,
      width: 480,
      height: 900
    })
    const attached = await ask("Target.attachToTarget", { targetId, flatten: true })
    const sessionId = String(attached["sessionId"])
    const send = (method: string, params: object = {}) => ask(method, params, sessionId)
    const complaints: Array<string> = []
    listeners.push((message) => {
      if (message.sessionId !== sessionId || message.method !== "Log.entryAdded") return
      const { level, text } = message.params!["entry"] as { level: string; text: string }
      if (level === "error") complaints.push(text)
    })
    await send("Page.enable")
    await send("Log.enable")
    await send("Network.enable")
    await send("Network.setExtraHTTPHeaders", { headers: { "accept-language": language } })
    // Turns off the page's scripts only: what we evaluate still runs.
    await send("Emulation.setScriptExecutionDisabled", { value: !scripts })
    await send("Emulation.setEmulatedMedia", {
      features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]
    })
    const read = async <A>(expression: string) => {
      const { exceptionDetails, result } = await send("Runtime.evaluate", { expression, returnByValue: true })
      if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails))
      return (result as { value: A }).value
    }
    const settled = (expression: string) =>
      until(
        expression,
        () => read<boolean>(`document.readyState === "complete" && (${expression})`).catch(() => false),
        20
      ).then(() => undefined)
    const press: Tab["press"] = async (key) => {
      const code = { Tab: 9, Enter: 13, Space: 32 }[key]
      const text = { Tab: "", Enter: "\r", Space: " " }[key]
      const facts = {
        key: key === "Space" ? " " : key,
        code: key,
        windowsVirtualKeyCode: code,
        ...(text === "" ? {} : { text })
      }
      await send("Input.dispatchKeyEvent", { type: "keyDown", ...facts })
      await send("Input.dispatchKeyEvent", { type: "keyUp", ...facts })
    }
    return {
      complaints,
      read,
      settled,
      press,
      open: async (url) => {
        await send("Page.navigate", { url })
        await settled("location.href !== 'about:blank'")
      },
      click: async (selector) => {
        const place = await read<{ x: number; y: number }>(
          `(() => { const e = document.querySelector(${JSON.stringify(selector)}); e.scrollIntoView({ block: "center" });
             const r = e.getBoundingClientRect(); return { x: r.x + r.width / 2, y: r.y + r.height / 2 } })()`
        )
        for (const type of ["mousePressed", "mouseReleased"])
          await send("Input.dispatchMouseEvent", { type, ...place, button: "left", clickCount: 1 })
      },
      type: async (selector, text) => {
        await read(`document.querySelector(${JSON.stringify(selector)}).focus()`)
        await send("Input.insertText", { text })
      },
      screenshot: async (file) => {
        const { data } = await send("Page.captureScreenshot", { format: "png" })
        await writeFile(file, Buffer.from(data as string, "base64"))
      }
    }
  }
  return {
    tab,
    close: async () => {
      socket.close()
      await new Promise<void>((resolve) => {
        browser.once("exit", () => resolve())
        browser.kill("SIGKILL")
      })
      await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    }
  }
}
