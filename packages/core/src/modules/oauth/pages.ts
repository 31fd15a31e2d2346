/** The pages on which a citizen signs in and consents: whole without scripts, in nobody's frame, with nothing from elsewhere. */
import { createHash } from "node:crypto"
import { type Language, type Scope } from "./scopes.ts"
import { textsOf } from "./texts.ts"

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}
const safe = (text: string) => text.replaceAll(/[&<>"']/g, (sign) => escapes[sign]!)

const style = `:root{color-scheme:light dark;--line:#8c959f;--accent:#0b57d0;--on-accent:#fff;--bad:#b3261e;font:18px/1.5 system-ui,sans-serif}
@media (prefers-color-scheme:dark){:root{--line:#7d8590;--accent:#a8c7fa;--on-accent:#062e6f;--bad:#f2b8b5}}
main{max-width:34rem;margin:6vh auto;padding:0 1.2rem}h1{font-size:1.45rem;line-height:1.25}
label{display:block}input:not([type=checkbox]){font:inherit;width:100%;box-sizing:border-box;padding:.6rem;border:1px solid var(--line);border-radius:.4rem}
fieldset{border:1px solid var(--line);border-radius:.6rem;padding:.4rem 1rem;margin:1rem 0}legend{float:left;width:100%;padding:.4rem 0;font-weight:600}
.scope{clear:both;display:flex;gap:.8rem;align-items:flex-start;padding:.55rem 0}.scope input{width:1.3rem;height:1.3rem;margin:.15rem 0 0;flex:none}
button{font:inherit;min-height:2.75rem;padding:.5rem 1.3rem;border-radius:.4rem;border:1px solid var(--accent);background:none;color:var(--accent);cursor:pointer;margin:.4rem .6rem .4rem 0}
button.first{background:var(--accent);color:var(--on-accent)}button.plain{border:0;padding:.5rem 0;text-decoration:underline}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}.hint{opacity:.8;font-size:.9rem}.bad{border-left:4px solid var(--bad);padding-left:.8rem}`

const styleHash = createHash("sha256").update(style).digest("base64")

/** Browsers hold a form's way through redirects to `form-action` too, so the app's own address stands in it. */
export const securityHeaders = (redirectUri?: string): Readonly<Record<string, string>> => {
  const target = redirectUri === undefined ? undefined : new URL(redirectUri)
  const way = target === undefined ? "" : ` ${/^https?:$/.test(target.protocol) ? target.origin : target.protocol}`
  return {
    "content-security-policy": `default-src 'none'; style-src 'sha256-${styleHash}'; form-action 'self'${way}; frame-ancestors 'none'; base-uri 'none'`,
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-type": "text/html; charset=utf-8"
  }
}

const page = (language: Language, title: string, body: string) =>
  `<!doctype html><html lang="${language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer"><title>${safe(title)}</title><style>${style}</style></head>
<body><main><h1>${safe(title)}</h1>${body}</main></body></html>`

/** What every form needs: where it goes, and its proof that it is ours. */
export interface Form {
  readonly language: Language
  /** Path of the interaction. */
  readonly action: string
  readonly csrf: string
  readonly problem?: string | undefined
}

const alert = ({ problem }: Form) =>
  problem === undefined ? "" : `<p class="bad" role="alert" id="problem">${safe(problem)}</p>`

const form = ({ action, csrf }: Form, step: string, body: string) =>
  `<form method="post" action="${safe(action)}/${step}"><input type="hidden" name="csrf" value="${safe(csrf)}">${body}</form>`

const described = ({ problem }: Form, hint: string) =>
  problem === undefined ? `aria-describedby="${hint}"` : `aria-describedby="problem ${hint}" aria-invalid="true"`

export const phonePage = (given: Form, app: string, city: string): string => {
  const t = textsOf(given.language)
  const field = `<label for="phone">${t.phone}</label>
<input id="phone" name="phone" type="tel" inputmode="tel" autocomplete="tel" required maxlength="20" ${described(given, "hint")}>
<p class="hint" id="hint">${t.phoneHint}</p><button class="first">${t.sendCode}</button>`
  const refuse = form(given, "refuse", `<button class="plain">${t.refuse}</button>`)
  return page(given.language, t.signInTitle(app, city), alert(given) + form(given, "phone", field) + refuse)
}

export const codePage = (given: Form, lastDigits: string): string => {
  const t = textsOf(given.language)
  const field = `<label for="code">${t.code}</label>
<input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" pattern="[0-9]{6}" required maxlength="6" ${described(given, "hint")}>
<p class="hint" id="hint">${safe(t.codeSent(lastDigits))}</p><button class="first">${t.signIn}</button>`
  const other = `<p><a href="${safe(given.action)}">${t.otherPhone}</a></p>`
  return page(given.language, t.codeTitle, alert(given) + form(given, "code", field) + other)
}

/** `app`: whether they have an authenticator app; else a recovery code is all that can be typed. */
export const factorPage = (given: Form, app: boolean): string => {
  const t = textsOf(given.language)
  const field = `<label for="factor">${t.code}</label>
<input id="factor" name="factor" autocomplete="one-time-code" autocapitalize="characters" spellcheck="false" pattern="[0-9]{6}|[0-9A-Za-z]{5}-?[0-9A-Za-z]{5}" required maxlength="11" ${described(given, "hint")}>
<p class="hint" id="hint">${app ? t.factorHint : t.recoveryHint}</p><button class="first">${t.signIn}</button>`
  const other = `<p><a href="${safe(given.action)}">${t.otherPhone}</a></p>`
  return page(given.language, t.factorTitle, alert(given) + form(given, "factor", field) + other)
}

export interface ConsentFacts {
  readonly app: string
  readonly homepage: string | null
  /** Who is signed in, in words. */
  readonly who: string
  /** Where the app is sent back to. */
  readonly redirectUri: string
  readonly scopes: ReadonlyArray<Scope>
}

const goesTo = (redirectUri: string) => {
  const url = new URL(redirectUri)
  // In a scheme of the app's own the host can say anything.
  return /^https?:$/.test(url.protocol) ? url.host : url.protocol.slice(0, -1)
}

export const consentPage = (given: Form, facts: ConsentFacts): string => {
  const { language } = given
  const t = textsOf(language)
  const boxes = facts.scopes.map(({ id, text }) => {
    // Who somebody is cannot be refused to an app that signs them in: they refuse the whole.
    const fixed = id === "openid"
    const box = fixed
      ? `<input type="checkbox" id="${id}" checked disabled>`
      : `<input type="checkbox" id="${id}" name="scope" value="${id}">`
    const more = fixed ? ` <span class="hint">(${t.always})</span>` : ""
    return `<div class="scope">${box}<label for="${id}">${safe(text[language])}${more}</label></div>`
  })
  const home =
    facts.homepage === null
      ? ""
      : `<p class="hint">${t.website}: <a href="${safe(facts.homepage)}" rel="noopener noreferrer" target="_blank">${safe(new URL(facts.homepage).host)}</a></p>`
  const list = `<fieldset><legend>${safe(t.consentWhat(facts.app))}</legend>${boxes.join("")}</fieldset>
<p class="hint">${safe(t.goesTo(goesTo(facts.redirectUri)))} ${t.takeBack}</p><button class="first">${t.allow}</button>`
  return page(
    language,
    t.consentTitle(facts.app),
    `${alert(given)}${home}${form(given, "consent", list)}${form(given, "refuse", `<button>${t.refuse}</button>`)}
<p class="hint">${safe(t.signedInAs(facts.who))}</p>${form(given, "leave", `<button class="plain">${t.somebodyElse}</button>`)}`
  )
}

/** `error`: the RFC's name of it, for whoever the citizen shows it to. */
export const errorPage = (language: Language, error: string): string => {
  const t = textsOf(language)
  return page(language, t.failed, `<p>${t.error}</p><p class="hint">${safe(error)}</p>`)
}

export const expiredPage = (language: Language): string => {
  const t = textsOf(language)
  return page(language, t.failed, `<p>${t.expired}</p>`)
}
