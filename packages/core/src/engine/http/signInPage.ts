/**
 * The page behind a one-time link, and the one that outside OpenID providers are offered on: gets a session, leads through the second factor where
 * one is needed, and shows what to do with the token. Nothing is loaded from elsewhere.
 */

const script = `
const main = document.querySelector("main")
const [text, form, input, note, area] = ["p", "form", "input", "pre", "textarea"].map((one) => main.querySelector(one))
const show = (title, said) => { main.querySelector("h1").textContent = title; text.textContent = said }
const token = location.hash.slice(1)
const query = new URLSearchParams(location.search)
const words = {
  en: ["Sign in", "Choose where you sign in.", "It did not work", "Nothing was changed. Try again, or choose another way."],
  uz: ["Kirish", "Qayerdan kirishni tanlang.", "Kirib bo'lmadi", "Hech narsa o'zgarmadi. Qaytadan urinib ko'ring yoki boshqa yo'lni tanlang."],
  ru: ["Вход", "Выберите, через что войти.", "Войти не удалось", "Ничего не изменилось. Попробуйте ещё раз или выберите другой способ."]
}
const language = navigator.language.split("-")[0]
const [enter, choose, sorry, again] = words[language] ?? words.en
history.replaceState(null, "", location.pathname)
const base = location.pathname.replace(/\\/sign-in$/, "")
let session
const post = async (path, body) => {
  const headers = { "content-type": "application/json" }
  if (session) headers.authorization = "Bearer " + session.accessToken
  const answer = await fetch(base + path, { method: "POST", headers, body: JSON.stringify(body ?? {}) })
  return { ok: answer.ok, body: await answer.json() }
}
const done = (codes) => {
  form.hidden = true
  note.hidden = !codes
  if (codes) note.textContent = "Write these down. Each replaces a code of the app once:\\n\\n" + codes.join("\\n")
  show("You are signed in", "Your access token is good for 15 minutes. Send it as: Authorization: Bearer <token>")
  area.hidden = false
  area.value = session.accessToken
}
const ask = (path, then) => {
  form.hidden = false
  input.focus()
  form.onsubmit = async (event) => {
    event.preventDefault()
    const answer = await post(path, { code: input.value.trim() })
    input.value = ""
    if (answer.ok) then(answer.body)
    else text.textContent = answer.body.detail
  }
}
const enrol = async () => {
  const { ok, body } = await post("/v1/me/factors/totp")
  if (!ok) return show(body.title, body.detail)
  show("One more thing", "Your role needs a second factor. Add this key to an authenticator app, then type the code that it shows.")
  note.hidden = false
  note.textContent = body.secret.match(/.{1,4}/g).join(" ")
  const link = note.appendChild(document.createElement("a"))
  link.href = body.uri
  link.textContent = "\\n\\nOpen in an app on this device"
  ask("/v1/me/factors/totp/confirm", (answer) => done(answer.recoveryCodes))
}
const verify = () => {
  show("One more thing", "Type the code of your authenticator app, or a recovery code.")
  ask("/v1/auth/second-factor", () => done())
}
const go = main.querySelector("#go")
const next = ({ ok, body }) => {
  if (!ok) return show(body.title, body.detail)
  session = body
  if (body.secondFactor === "enrol") enrol()
  else if (body.secondFactor === "verify") verify()
  else done()
}
const base64 = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")
// The verifier stays in this tab: a ticket that somebody else began is worth nothing here.
const leave = async (provider) => {
  const verifier = base64(crypto.getRandomValues(new Uint8Array(32)))
  sessionStorage.setItem("openid", verifier)
  const challenge = base64(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))))
  location.assign(base + "/v1/auth/openid/" + provider + "?codeChallenge=" + challenge + "&language=" + language)
}
const offer = async (title, said) => {
  const { items } = await (await fetch(base + "/v1/auth/openid")).json()
  go.hidden = true
  if (items.length === 0) return show("This link is not complete", "Ask for a new one: mahalla admin-link")
  show(title, said)
  if (words[language]) document.documentElement.lang = language
  for (const { id, title: names } of items) {
    const button = document.createElement("button")
    button.textContent = names[language] ?? names.en ?? Object.values(names)[0]
    button.dataset.provider = id
    button.onclick = () => leave(id)
    go.before(button, " ")
  }
}
const comeBack = async (ticket) => {
  go.hidden = true
  const codeVerifier = sessionStorage.getItem("openid")
  sessionStorage.removeItem("openid")
  if (codeVerifier === null) return offer(sorry, again)
  next(await post("/v1/auth/openid/session", { ticket, codeVerifier }))
}
if (query.has("ticket")) comeBack(query.get("ticket"))
else if (query.has("error")) offer(sorry, again)
else if (!token) offer(enter, choose)
else go.addEventListener("click", async (event) => {
  event.target.hidden = true
  next(await post("/v1/auth/link", { token }))
})`

/** A preview by a mail or chat program must not use the link up, so it takes a click. */
export const signInPage = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="referrer" content="no-referrer"><title>Sign in</title>
<style>:root{color-scheme:light dark;font:17px/1.5 system-ui,sans-serif}main{max-width:34rem;margin:15vh auto;padding:0 1rem}[hidden]{display:none!important}
button,input{font:inherit;padding:.6rem 1.4rem;border-radius:.4rem;border:1px solid #0969da}button{background:#0969da;color:#fff;cursor:pointer}
form{display:flex;gap:.5rem;align-items:end;flex-wrap:wrap}label{display:block}input{padding:.6rem;width:9rem}pre{font-size:1.05rem;white-space:pre-wrap;user-select:all}
textarea{width:100%;height:9rem;font:.85rem ui-monospace,monospace}</style></head>
<body><main><h1>Sign in</h1><p role="status">This link works once.</p><button id="go">Sign in</button><pre hidden></pre>
<form hidden><label>Code<br><input autocomplete="one-time-code" maxlength="11" required></label><button>Continue</button></form>
<textarea readonly hidden aria-label="Access token"></textarea></main>
<script>${script}</script></body></html>`
