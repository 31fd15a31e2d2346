/** The few things that an HTTP server of a simulator needs, and answers as nobody wants them. */
import type { IncomingMessage, ServerResponse } from "node:http"

export const send = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) => {
  if (body === undefined) return void response.writeHead(status, headers).end()
  response.writeHead(status, { "content-type": "application/json", ...headers })
  response.end(JSON.stringify(body))
}

const most = 64 * 1024

export const readText = async (request: IncomingMessage): Promise<string> => {
  const parts: Array<Buffer> = []
  let size = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length
    if (size <= most) parts.push(part)
  }
  return Buffer.concat(parts).toString("utf8")
}

/** Undefined where it is no JSON. */
export const readJson = async (request: IncomingMessage): Promise<unknown> => {
  const text = await readText(request)
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const sendHtml = (response: ServerResponse) => {
  response.writeHead(200, { "content-type": "text/html" })
  response.end("<html><body><h1>Service is under maintenance</h1></body></html>")
}

export const sendBroken = (response: ServerResponse, body: unknown) => {
  response.writeHead(200, { "content-type": "application/json" })
  response.end(JSON.stringify(body).slice(0, -9))
}

/** The answer, and the same one again as if it were the next request's. */
export const sendTwice = (response: ServerResponse, status: number, body: unknown) => {
  const { socket } = response
  response.on("finish", () => {
    const text = JSON.stringify(body)
    const head = `HTTP/1.1 ${status} OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n`
    socket?.write(head + text)
  })
  send(response, status, body)
}
