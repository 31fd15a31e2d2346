/** Devices without MQTT: each sends readings in order for as long as it is let, repeats what was not acknowledged, and remembers what was. */
import { connect, type Socket } from "node:net"
import { Agent, type IncomingMessage, request } from "coap"
import { pause } from "../kill/processes.ts"
import { type MessageOf, tokenOf } from "./plan.ts"
import type { Publisher } from "./publisher.ts"

/** A device that is told to come back later. */
export interface Refusable extends Publisher {
  /** What was said instead of an acknowledgement, each word once. */
  readonly told: Set<string>
}

/** `window` readings under way, each sent until it is taken. */
const repeating = (window: number, send: (place: number, told: Set<string>) => Promise<boolean>): Refusable => {
  const acknowledged = new Set<number>()
  const told = new Set<string>()
  let [next, going] = [0, true]
  const lane = async () => {
    while (going) {
      const place = next++
      while (!(await send(place, told))) await pause(200)
      acknowledged.add(place)
    }
  }
  const lanes = Array.from({ length: window }, lane)
  return {
    acknowledged,
    told,
    sent: () => next,
    stop: async () => {
      going = false
      await Promise.all(lanes)
    }
  }
}

export const startHttpSender = (url: string, device: string, messageOf: MessageOf): Refusable =>
  repeating(8, async (place, told) => {
    const request = { method: "POST", body: messageOf(place), signal: AbortSignal.timeout(20_000) }
    const answer = await fetch(`${url}/api/v1/${tokenOf(device)}/telemetry`, request).catch(() => undefined)
    await answer?.arrayBuffer().catch(() => undefined)
    if (answer?.status === 200) return true
    if (answer !== undefined) told.add(`${answer.status}, Retry-After ${answer.headers.get("retry-after")}`)
    return false
  })

/** Posts confirmably from a socket of its own; the response's code, undefined where none comes within five seconds. */
const post = (address: string, pathname: string, body: string) =>
  new Promise<string | undefined>((resolve) => {
    const { hostname, port } = new URL(address.replace("coap:", "http:"))
    const agent = new Agent({ type: "udp4" })
    const asked = request({ hostname, port: Number(port), method: "POST", pathname, confirmable: true, agent })
    setTimeout(() => resolve(undefined), 5000)
    asked.setOption("Content-Format", "application/json")
    asked.on("response", (response: IncomingMessage) => resolve(response.code))
    asked.on("error", () => resolve(undefined))
    asked.on("timeout", () => resolve(undefined))
    asked.end(Buffer.from(body))
  })

/** Confirmable messages. */
export const startCoapSender = (address: string, device: string, messageOf: MessageOf): Refusable =>
  repeating(8, async (place, told) => {
    const code = await post(address, `/api/v1/${tokenOf(device)}/telemetry`, messageOf(place))
    if (code === "2.04") return true
    if (code !== undefined) told.add(code)
    return false
  })

/** Messages of one connection that are not acknowledged. */
const window = 100

/** Lines of JSON, acknowledged by count; after a lost connection everything that was not acknowledged is sent again, in its order. */
export const startTcpLogger = (port: number, device: string, messageOf: MessageOf): Publisher => {
  const acknowledged = new Set<number>()
  /** What is not acknowledged, in order, and how much of it this connection has sent. */
  const waiting: Array<number> = []
  let [next, going, sent, letIn] = [0, true, 0, false]
  let settled = () => undefined as void
  let socket: Socket | undefined
  const send = () => {
    while (going && waiting.length < window) waiting.push(next++)
    if (waiting.length === 0) return settled()
    if (!letIn) return
    if (sent < waiting.length)
      socket?.write(
        waiting
          .slice(sent)
          .map((place) => `${messageOf(place)}\n`)
          .join("")
      )
    sent = waiting.length
  }
  const open = () => {
    const line = connect(port, "127.0.0.1")
    let [heard, counted] = ["", 0]
    socket = line
    sent = 0
    line.on("error", () => undefined)
    line.once("connect", () => line.write(`${JSON.stringify({ token: tokenOf(device) })}\n`))
    line.on("data", (piece) => {
      const words = `${heard}${piece.toString()}`.split("\n")
      heard = words.pop() ?? ""
      for (const word of words) {
        if (!word.startsWith("ok ")) continue
        const count = Number(word.slice(3))
        for (const place of waiting.splice(0, count - counted)) acknowledged.add(place)
        sent -= count - counted
        counted = count
        letIn = true
      }
      setTimeout(send, 2)
    })
    line.once("close", () => {
      letIn = false
      if (going || waiting.length > 0) setTimeout(open, 100)
    })
  }
  open()
  return {
    acknowledged,
    sent: () => next,
    stop: async () => {
      await new Promise<void>((done) => {
        settled = done
        going = false
        send()
      })
      socket?.destroy()
    }
  }
}
