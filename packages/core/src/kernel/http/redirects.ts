/** Where an app may be sent back to (RFC 8252, RFC 9700): exact addresses of its own, nothing that a browser would run. */

const loopback = new Set(["127.0.0.1", "[::1]", "localhost"])

/** A scheme of the app's own, by the name of a domain turned round: `com.example.app`. */
const isPrivateScheme = (protocol: string) => /^[a-z][a-z0-9-]*(\.[a-z0-9-]+)+:$/.test(protocol)

/** An app on somebody's device: it can keep no secret, and every sign-in asks the citizen. */
export const isNative = (uri: string): boolean => {
  const { hostname, protocol } = new URL(uri)
  return isPrivateScheme(protocol) || (protocol === "http:" && loopback.has(hostname))
}

/** What is wrong with a redirect address, or undefined. */
export const redirectProblem = (uri: string): string | undefined => {
  if (!URL.canParse(uri) || uri.length > 1000 || /[\s*]/.test(uri)) return "This is not an absolute address."
  const url = new URL(uri)
  if (uri.includes("#")) return "A redirect address has no fragment."
  if (url.username !== "" || url.password !== "") return "A redirect address has no user in it."
  if (url.protocol === "https:" || isNative(uri)) return undefined
  return "Use https, http://127.0.0.1 for an app on a computer, or a scheme like com.example.app:/ for one on a phone."
}
