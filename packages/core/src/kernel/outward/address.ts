/**
 * Which addresses a request may go to that somebody else named: none inside the house (SSRF). Decided on what a name resolves to, after the
 * URL parser has turned every spelling of a number into an address.
 */
import { BlockList, isIP } from "node:net"

/** Blocks that are not the public internet (IANA special-purpose registries, RFC 6890 and its updates). */
const special: ReadonlyArray<string> = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.31.196.0/24",
  "192.52.193.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "192.175.48.0/24",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4"
]

/** Only what IANA gives out as global unicast is public in IPv6; these are exceptions within it: documentation, tunnels, 6to4. */
const specialGlobal: ReadonlyArray<string> = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]

const blocksOf = (entries: ReadonlyArray<string>): BlockList => {
  const list = new BlockList()
  for (const entry of entries) {
    const [address = "", bits] = entry.split("/")
    const family = isIP(address)
    const most = family === 4 ? 32 : 128
    const length = bits === undefined ? most : Number(bits)
    if (family === 0 || !/^\d+$/.test(bits ?? "0") || length > most)
      throw new Error(`${entry} is neither an address nor a CIDR block`)
    list.addSubnet(address, length, family === 4 ? "ipv4" : "ipv6")
  }
  return list
}

const refused = blocksOf([...special, ...specialGlobal])
const global = blocksOf(["2000::/3"])

/** The IPv4 address that an IPv6 one carries: mapped (RFC 4291), or behind NAT64 (RFC 6052). */
const carried = (address: string): string | undefined => {
  const mapped = new URL(`http://[${address}]/`).hostname.slice(1, -1)
  const parts = /^(?:::ffff:|::|64:ff9b::)([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(mapped)
  if (parts === null) return undefined
  const [high, low] = [Number.parseInt(parts[1]!, 16), Number.parseInt(parts[2]!, 16)]
  return [high >> 8, high & 255, low >> 8, low & 255].join(".")
}

/** Whether anybody on the internet has this address. */
export const isPublic = (address: string): boolean => {
  const family = isIP(address)
  if (family === 0 || address.includes("%")) return false
  if (family === 4) return !refused.check(address, "ipv4")
  const inner = carried(address)
  if (inner !== undefined) return isPublic(inner)
  return global.check(address, "ipv6") && !refused.check(address, "ipv6")
}

/** Networks that the operator lets requests go to although they are inside; throws on what is none. */
export const makeInside = (networks: ReadonlyArray<string>): ((address: string) => boolean) => {
  const list = blocksOf(networks)
  return (address) => {
    const family = isIP(address)
    return family !== 0 && list.check(address, family === 4 ? "ipv4" : "ipv6")
  }
}
