/**
 * The page on which a person types card number and code, on the processing centre's own address. The number is in memory for as long as one
 * request takes; the first six and the last four digits and a token are what is kept.
 */
import { randomInt, randomUUID } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import { readText } from "./http.ts"
import type { Form, Processing } from "./processing.ts"

const words = {
  en: { title: "Your card", number: "Card number", expiry: "Valid thru", code: "Code from the message", go: "Go on" },
  ru: { title: "Ваша карта", number: "Номер карты", expiry: "Срок действия", code: "Код из сообщения", go: "Далее" },
  uz: { title: "Kartangiz", number: "Karta raqami", expiry: "Amal qilish muddati", code: "Xabardagi kod", go: "Davom" }
}

/** Sixteen digits that obey the check digit. */
const isNumber = (digits: string): boolean => {
  const weighed = [...digits].map((digit, place) => Number(digit) * (place % 2 === 0 ? 2 : 1))
  return /^\d{16}$/.test(digits) && weighed.reduce((sum, value) => sum + (value > 9 ? value - 9 : value), 0) % 10 === 0
}

const page = (response: ServerResponse, status: number, form: Form, step: "card" | "code") => {
  const text = words[form.lang.slice(0, 2).toLowerCase() as keyof typeof words] ?? words.uz
  const field = (name: string, label: string, hint: string) =>
    `<label>${label} <input name="${name}" inputmode="numeric" autocomplete="${hint}" required></label>`
  const fields =
    step === "card"
      ? field("number", text.number, "cc-number") + field("expiry", `${text.expiry} (MM/YY)`, "cc-exp")
      : field("code", text.code, "one-time-code")
  response.writeHead(status, {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    // A browser holds the way back against it as well.
    "content-security-policy": `default-src 'none'; form-action 'self' ${new URL(form.returnUrl).origin}`,
    "referrer-policy": "no-referrer"
  })
  response.end(
    `<!doctype html><meta name="viewport" content="width=device-width"><title>${text.title}</title>` +
      `<form method="post" action="/form/${form.id}/${step}"><h1>${text.title}</h1>${fields}<button>${text.go}</button></form>`
  )
}

const gone = (response: ServerResponse) =>
  response.writeHead(410, { "content-type": "text/plain" }).end("This form is over.")

const back = (response: ServerResponse, form: Form) =>
  response.writeHead(303, { location: form.returnUrl, "referrer-policy": "no-referrer" }).end()

export const makeForms = (processing: Processing, clock: () => number) => {
  /** The codes that were sent, and how often a wrong one came: for as long as the process lives. */
  const codes = new Map<string, { readonly code: string; wrong: number }>()

  const takeCard = async (form: Form, request: IncomingMessage, response: ServerResponse) => {
    const typed = new URLSearchParams(await readText(request))
    const number = (typed.get("number") ?? "").replaceAll(/\D/g, "")
    const fits = isNumber(number) && /^(0[1-9]|1[0-2])\/?\d\d$/.test(typed.get("expiry") ?? "")
    if (!fits) return page(response, 422, form, "card")
    codes.set(form.id, { code: String(randomInt(1_000_000)).padStart(6, "0"), wrong: 0 })
    const card = {
      token: randomUUID().replaceAll("-", "").toUpperCase(),
      masked: `${number.slice(0, 6)}******${number.slice(-4)}`
    }
    const waiting: Form = { ...form, state: "OTP", card }
    processing.keep(waiting)
    return page(response, 200, waiting, "code")
  }

  const takeCode = async (form: Form, request: IncomingMessage, response: ServerResponse) => {
    const typed = new URLSearchParams(await readText(request)).get("code") ?? ""
    const sent = codes.get(form.id)
    if (form.card === undefined || sent === undefined) return page(response, 422, form, "card")
    if (typed === sent.code) {
      codes.delete(form.id)
      processing.keep({ kind: "card", id: form.card.token, masked: form.card.masked })
      processing.keep({ ...form, state: "DONE" })
      return back(response, form)
    }
    sent.wrong += 1
    if (sent.wrong < 3) return page(response, 422, form, "code")
    codes.delete(form.id)
    processing.keep({ ...form, state: "REFUSED" })
    return back(response, form)
  }

  return {
    /** What was sent to the card's owner. */
    codeOf: (id: string) => codes.get(id)?.code,
    serve: async (id: string, step: string | undefined, request: IncomingMessage, response: ServerResponse) => {
      const form = processing.form(id)
      if (form === undefined || form.expires <= clock() || form.state === "DONE" || form.state === "REFUSED")
        return gone(response)
      if (request.method === "GET" && step === undefined)
        return page(response, 200, form, form.state === "OTP" ? "code" : "card")
      if (request.method === "POST" && step === "card") return takeCard(form, request, response)
      if (request.method === "POST" && step === "code") return takeCode(form, request, response)
      return gone(response)
    }
  }
}
