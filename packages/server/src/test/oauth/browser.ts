/** A browser without scripts: cookies by path, redirects one by one, forms as they stand in the page. */
import { randomInt } from "node:crypto"

export interface Page {
  readonly url: string
  readonly status: number
  readonly headers: Headers
  readonly html: string
}

interface Cookie {
  readonly host: string
  readonly name: string
  readonly value: string
  readonly path: string
}

export interface Browser {
  /** Follows redirects within the origins it was opened for; stops at the app's address, which no server has. */
  readonly open: (url: string, options?: { readonly headers?: Record<string, string> }) => Promise<Page>
  /** Sends the form whose action ends with `step`; `within` keeps it from following redirects to other addresses. */
  readonly submit: (
    page: Page,
    step: string,
    fields?: ReadonlyArray<readonly [string, string]>,
    within?: string
  ) => Promise<Page>
  /** The `Cookie` header for an address. */
  readonly cookieFor: (url: string) => string
}

const attribute = (tag: string, name: string) => new RegExp(`${name}="([^"]*)"`).exec(tag)?.[1]

/** The hidden fields and the address of a form in a page. */
export const formOf = (page: Page, step: string) => {
  for (const [form] of page.html.matchAll(/<form[\s\S]*?<\/form>/g)) {
    const action = attribute(form, "action")
    if (action?.endsWith(`/${step}`) !== true) continue
    const hidden = [...form.matchAll(/<input type="hidden"[^>]*>/g)].map(
      ([tag]) => [attribute(tag, "name")!, attribute(tag, "value")!] as const
    )
    return { action: new URL(action, page.url).href, hidden }
  }
  throw new Error(`No form ${step} in the page ${page.status} ${page.url}: ${page.html.slice(-600)}`)
}

export const openBrowser = (origins: string | ReadonlyArray<string>, extra: Record<string, string> = {}): Browser => {
  const reached = new Set([origins].flat())
  const address = `10.9.${randomInt(256)}.${randomInt(1, 255)}`
  let jar: ReadonlyArray<Cookie> = []
  const remember = (host: string, response: Response) => {
    for (const line of response.headers.getSetCookie()) {
      const [pair = "", ...rest] = line.split(/;\s*/)
      const at = pair.indexOf("=")
      const path = rest.find((one) => /^path=/i.test(one))?.slice(5) ?? "/"
      const cookie = { host, name: pair.slice(0, at), value: pair.slice(at + 1), path }
      jar = jar.filter((known) => known.host !== host || known.name !== cookie.name || known.path !== path)
      const gone = rest.some((one) => /^expires=Thu, 01 Jan 1970/i.test(one) || /^max-age=0$/i.test(one))
      if (!gone && cookie.value !== "") jar = [...jar, cookie]
    }
  }
  const headersFor = (url: string) => {
    const { host, pathname } = new URL(url)
    const sent = jar.filter(
      ({ host: known, path }) =>
        known === host && (pathname === path || pathname.startsWith(path.endsWith("/") ? path : `${path}/`))
    )
    return {
      "x-forwarded-for": address,
      cookie: sent.map(({ name, value }) => `${name}=${value}`).join("; "),
      ...extra
    }
  }
  const go = async (url: string, init: RequestInit, within = "", hops = 0): Promise<Page> => {
    if (!reached.has(new URL(url).origin) || !url.startsWith(within))
      return { url, status: 0, headers: new Headers(), html: "" }
    const response = await fetch(url, {
      ...init,
      redirect: "manual",
      headers: { ...headersFor(url), ...(init.headers as Record<string, string> | undefined) }
    })
    remember(new URL(url).host, response)
    const to = response.headers.get("location")
    if (to !== null && response.status >= 300 && response.status < 400) {
      if (hops > 10) throw new Error(`Too many redirects at ${url}`)
      await response.arrayBuffer()
      return go(new URL(to, url).href, {}, within, hops + 1)
    }
    return { url, status: response.status, headers: response.headers, html: await response.text() }
  }
  return {
    open: (url, options = {}) => go(url, { headers: options.headers ?? {} }),
    submit: (page, step, fields = [], within = "") => {
      const { action, hidden } = formOf(page, step)
      const body = new URLSearchParams([...hidden, ...fields].map(([name, value]) => [name, value]))
      return go(action, { method: "POST", body, headers: { origin: new URL(action).origin } }, within)
    },
    cookieFor: (url) => headersFor(url).cookie
  }
}
