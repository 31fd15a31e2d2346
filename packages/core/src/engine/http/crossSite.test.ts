import { assert, describe, it } from "@effect/vitest"
import { crossSiteProblem } from "./crossSite.ts"

const allowed = ["https://app.example", "*"]
const cookie = "session=1"
const host = "city.example"

const cases: ReadonlyArray<readonly [name: string, method: string, headers: Record<string, string>, refused: boolean]> =
  [
    ["its own page", "POST", { host, cookie, "sec-fetch-site": "same-origin", origin: "https://city.example" }, false],
    ["typed by hand", "POST", { host, cookie, "sec-fetch-site": "none" }, false],
    ["another site", "POST", { host, cookie, "sec-fetch-site": "cross-site", origin: "https://evil.example" }, true],
    ["a form of another site", "DELETE", { host, cookie, "sec-fetch-site": "cross-site" }, true],
    ["a subdomain", "PUT", { host, cookie, "sec-fetch-site": "same-site", origin: "https://x.city.example" }, true],
    ["an allowed app", "POST", { host, cookie, "sec-fetch-site": "cross-site", origin: "https://app.example" }, false],
    ["an older browser, its own page", "POST", { host, cookie, origin: "https://city.example" }, false],
    ["an older browser, another site", "PATCH", { host, cookie, origin: "https://evil.example" }, true],
    ["an older browser, another port", "POST", { host, cookie, origin: "https://city.example:8443" }, true],
    ["a frame without an origin", "POST", { host, cookie, origin: "null" }, true],
    ["a name that begins alike", "POST", { host, cookie, origin: "https://city.example.evil.example" }, true],
    ["a program", "POST", { host, cookie }, false],
    ["reading", "GET", { host, cookie, "sec-fetch-site": "cross-site", origin: "https://evil.example" }, false],
    ["no cookie", "POST", { host, "sec-fetch-site": "cross-site", origin: "https://evil.example" }, false],
    ["a token", "POST", { host, cookie, authorization: "Bearer x", "sec-fetch-site": "cross-site" }, false]
  ]

describe("requests of other sites", () => {
  for (const [name, method, headers, refused] of cases)
    it(`${refused ? "refuses" : "takes"} ${name}`, () => {
      const found = crossSiteProblem(method, headers, allowed)
      assert.deepEqual(
        [found?.status, found?.body.type],
        refused ? [403, "urn:mahalla:problem:cross-site"] : [undefined, undefined]
      )
    })
})
