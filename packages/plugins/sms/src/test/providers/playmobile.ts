/** PlayMobile as a process: one call that takes messages, and reports to an address it was told. */
import { randomUUID } from "node:crypto"
import { answered, common, post, send, serve } from "./server.ts"

interface Asked {
  readonly messages: ReadonlyArray<{
    readonly recipient: string
    readonly "message-id": string
    readonly sms: { readonly originator: string; readonly content: { readonly text: string } }
  }>
}

await serve((provider) => {
  let password = "secret"
  let reportUrl = ""
  let final = "Delivered"
  return {
    route: (path, body, request, response) => {
      if (path !== "/broker-api/send" || request.method !== "POST") return send(response, 404, "<h1>Not Found</h1>")
      const basic = Buffer.from(`city:${password}`).toString("base64")
      if (request.headers.authorization !== `Basic ${basic}`) return send(response, 401, "Unauthorized")
      const asked = JSON.parse(body.toString()) as Asked
      const [message] = asked.messages
      const wrong = (code: number, words: string) =>
        send(response, 400, { "error-code": code, "error-description": words })
      if (message === undefined || message.recipient === "") return wrong(202, "Empty recipient")
      const fault = provider.faults.draw(message["message-id"])
      if (common(response, fault)) return
      if (fault === "expired-token") return wrong(102, "Account lock")
      if (fault === "refused") return wrong(405, "Content error")
      if (fault === "error-body")
        return send(response, 200, { "error-code": 401, "error-description": "Empty originator" })
      const one = provider.keep({
        reference: randomUUID(),
        id: message["message-id"],
        to: message.recipient,
        text: message.sms.content.text,
        asked,
        state: "Transmitted"
      })
      const id = fault === "wrong-id" ? randomUUID() : one.id
      const tell = (_one: object, status: string) =>
        post(reportUrl, {
          messages: [{ "message-id": id, channel: "sms", status, "status-date": "2026-11-22T05:00:00Z" }]
        })
      if (reportUrl !== "") provider.report(one, fault, final, tell)
      const answer = () => answered(response, fault, "Request is received")
      if (fault === "early-receipt") setTimeout(answer, 100)
      else answer()
    },
    more: {
      "PUT /password": (body) => void (password = body as string),
      "PUT /report-url": (body) => void (reportUrl = body as string),
      "PUT /final": (body) => void (final = body as string)
    }
  }
})
