/** The page behind a one-time link: exchanges it for a token and shows what to do with it. Nothing is loaded from elsewhere. */

const script = `
const out = document.querySelector("main")
const show = (title, text, token) => {
  out.querySelector("h1").textContent = title
  out.querySelector("p").textContent = text
  if (token) { const area = out.querySelector("textarea"); area.hidden = false; area.value = token; area.select() }
}
const token = location.hash.slice(1)
history.replaceState(null, "", location.pathname)
const base = location.pathname.replace(/\\/sign-in$/, "")
if (!token) show("This link is not complete", "Ask for a new one: mahalla admin-link")
else document.querySelector("button").addEventListener("click", async () => {
  document.querySelector("button").hidden = true
  const answer = await fetch(base + "/v1/auth/link", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token }) })
  const body = await answer.json()
  if (answer.ok) show("You are signed in", "Your access token is good for 15 minutes. Send it as: Authorization: Bearer <token>", body.accessToken)
  else show(body.title, body.detail)
})`

/** A preview by a mail or chat program must not use the link up, so it takes a click. */
export const signInPage = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="referrer" content="no-referrer"><title>Sign in</title>
<style>:root{color-scheme:light dark;font:17px/1.5 system-ui,sans-serif}main{max-width:34rem;margin:15vh auto;padding:0 1rem}
button{font:inherit;padding:.6rem 1.4rem;border-radius:.4rem;border:1px solid #0969da;background:#0969da;color:#fff;cursor:pointer}
textarea{width:100%;height:9rem;font:.85rem ui-monospace,monospace}</style></head>
<body><main><h1>Sign in</h1><p>This link works once.</p><button>Sign in</button><textarea readonly hidden aria-label="Access token"></textarea></main>
<script>${script}</script></body></html>`
