/** The client's address when proxies stand between: the last address that no trusted proxy added. */
import { BlockList, isIP } from "node:net"

const plain = (address: string) => (address.startsWith("::ffff:") ? address.slice(7) : address)

/** Compiles addresses and CIDR blocks; throws on anything else, for it is a mistake of the configuration. */
export const makeTrusted = (trusted: ReadonlyArray<string>): ((address: string) => boolean) => {
  const list = new BlockList()
  for (const entry of trusted) {
    const [address = "", bits] = entry.split("/")
    const family = isIP(address)
    if (family === 0) throw new Error(`trustedProxies: ${entry} is neither an address nor a CIDR block`)
    const type = family === 4 ? "ipv4" : "ipv6"
    if (bits === undefined) list.addAddress(address, type)
    else list.addSubnet(address, Number(bits), type)
  }
  return (address) => {
    const bare = plain(address)
    const family = isIP(bare)
    return family !== 0 && list.check(bare, family === 4 ? "ipv4" : "ipv6")
  }
}

/** The client behind trusted proxies, from the peer's address and `X-Forwarded-For`. */
export const makeProxyTrust = (
  trusted: ReadonlyArray<string>
): ((peer: string, forwardedFor: string | undefined) => string) => {
  const isTrusted = makeTrusted(trusted)
  return (peer, forwardedFor) => {
    let client = plain(peer)
    if (trusted.length === 0) return client
    const hops = forwardedFor === undefined ? [] : forwardedFor.split(",").map((hop) => plain(hop.trim()))
    while (isTrusted(client) && hops.length > 0) {
      const next = hops.pop()!
      if (isIP(next) === 0) break
      client = next
    }
    return client
  }
}
