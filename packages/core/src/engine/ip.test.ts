import { assert, describe, it } from "@effect/vitest"
import { makeProxyTrust } from "./ip.ts"

describe("the client's address", () => {
  const trusted = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]
  const cases: ReadonlyArray<readonly [name: string, peer: string, forwarded: string | undefined, expected: string]> = [
    ["without a proxy", "203.0.113.5", undefined, "203.0.113.5"],
    ["a header of somebody we do not trust", "203.0.113.5", "198.51.100.1", "203.0.113.5"],
    ["one trusted proxy", "10.1.2.3", "198.51.100.1", "198.51.100.1"],
    ["a chain of them", "10.1.2.3", "198.51.100.1, 192.0.2.7, 10.9.9.9", "198.51.100.1"],
    ["what the client wrote itself is not believed", "10.1.2.3", "1.1.1.1, 198.51.100.1", "198.51.100.1"],
    ["a trusted address that the client made up", "10.1.2.3", "10.4.4.4, 198.51.100.1", "198.51.100.1"],
    ["no header from a proxy", "10.1.2.3", undefined, "10.1.2.3"],
    ["an empty one", "10.1.2.3", "", "10.1.2.3"],
    ["garbage ends the walk", "10.1.2.3", "198.51.100.1, unknown", "10.1.2.3"],
    ["an address with a port is none", "10.1.2.3", "198.51.100.1:4711", "10.1.2.3"],
    ["all are proxies", "10.1.2.3", "10.0.0.1, 10.0.0.2", "10.0.0.1"],
    ["IPv4 in IPv6", "::ffff:10.1.2.3", "::ffff:198.51.100.1", "198.51.100.1"],
    ["IPv6", "2001:db8::1", "2a00::1", "2a00::1"],
    ["IPv6 that is not trusted", "2a00::2", "2a00::1", "2a00::2"],
    ["no peer at all", "", "198.51.100.1", ""]
  ]
  for (const [name, peer, forwarded, expected] of cases)
    it(name, () => assert.strictEqual(makeProxyTrust(trusted)(peer, forwarded), expected))

  it("nobody is trusted unless named", () => {
    assert.strictEqual(makeProxyTrust([])("127.0.0.1", "198.51.100.1"), "127.0.0.1")
  })
  it("a mistake in the configuration is said at once", () => {
    for (const entry of ["proxy.example", "10.0.0.0/33", "10.0.0", "", "::/200", "10.0.0.0/-1", "10.0.0.0/x"])
      assert.throws(() => makeProxyTrust([entry]), undefined, undefined, entry)
  })
})
