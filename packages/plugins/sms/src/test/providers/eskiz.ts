/** Eskiz as a process: tokens that run out, sending, state by id, callbacks. */
import { randomUUID } from "node:crypto"
import { answered, common, post, send, serve } from "./server.ts"

interface Asked {
  readonly mobile_phone: string
  readonly message: string
  readonly from: string
  readonly user_sms_id: string
  readonly callback_url?: string
}

await serve((provider) => {
  const account = { email: "city@example.uz", password: "secret" }
  let tokens = 0
  let logins = 0
  let final = "DELIVRD"
  /** States by id are not told. */
  let silent = false

  const take = (asked: Asked, response: Parameters<typeof send>[0]) => {
    const fault = provider.faults.draw(asked.user_sms_id)
    if (common(response, fault)) return
    if (fault === "expired-token") {
      tokens++
      return send(response, 401, { message: "Expired" })
    }
    if (fault === "refused")
      return send(response, 400, { status: "error", message: "This text has no approved template" })
    if (fault === "error-body") return send(response, 200, { status: "error", message: "Something is wrong" })
    const { callback_url, message, mobile_phone, user_sms_id } = asked
    const reference = randomUUID()
    const one = provider.keep({
      reference,
      id: fault === "wrong-id" ? randomUUID() : user_sms_id,
      to: mobile_phone,
      text: message,
      asked,
      state: "WAITING"
    })
    const tell = (_one: object, state: string) =>
      post(callback_url ?? "", {
        request_id: reference,
        message_id: 4_385_062,
        user_sms_id,
        country: "UZ",
        phone_number: mobile_phone,
        sms_count: "1",
        status: state,
        status_date: "2026-11-22 05:00:00"
      })
    if (callback_url !== undefined) provider.report(one, fault, final, tell)
    const answer = () =>
      answered(response, fault, { id: reference, message: "Waiting for SMS provider", status: "waiting" })
    if (fault === "early-receipt") setTimeout(answer, 100)
    else answer()
  }

  const status = (reference: string, response: Parameters<typeof send>[0]) => {
    const one = provider.kept.find((kept) => kept.reference === reference)
    if (silent) return send(response, 500, { message: "Server Error" })
    if (one === undefined) return send(response, 200, { status: "error", data: null })
    const data = {
      id: 1,
      user_sms_id: one.id,
      to: one.to,
      status: one.state,
      parts_count: 1,
      price: 95,
      total_price: 95
    }
    send(response, 200, { status: "success", data, id: null })
  }

  return {
    route: (path, body, request, response) => {
      if (path === "/api/auth/login") {
        logins++
        const { email, password } = JSON.parse(body.toString()) as typeof account
        if (email !== account.email || password !== account.password)
          return send(response, 401, { message: "Wrong password" })
        return send(response, 200, {
          message: "token_generated",
          data: { token: `token-${tokens}` },
          token_type: "bearer"
        })
      }
      if (request.headers.authorization !== `Bearer token-${tokens}`) return send(response, 401, { message: "Expired" })
      if (path === "/api/message/sms/send" && request.method === "POST")
        return take(JSON.parse(body.toString()) as Asked, response)
      const [, reference] = /^\/api\/message\/sms\/status_by_id\/([^/]+)$/.exec(path) ?? []
      if (reference !== undefined && request.method === "GET") return status(reference, response)
      return send(response, 404, "<h1>Not Found</h1>")
    },
    more: {
      "PUT /password": (body) => void (account.password = body as string),
      "PUT /final": (body) => void (final = body as string),
      "PUT /silent": (body) => void (silent = body as boolean),
      "POST /expire": () => void tokens++,
      "GET /logins": () => logins
    }
  }
})
