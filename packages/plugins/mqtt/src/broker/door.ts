/** Who knocks: what a client shows in its CONNECT packet, as a credential. */
import type { DeviceCredential } from "@mahalla/core/plugin"

export interface Shown {
  readonly clientId: string
  readonly user: string | undefined
  readonly password: Uint8Array | undefined
  readonly chain: ReadonlyArray<Uint8Array>
}

/** A user name alone is a token (ThingsBoard), with a password it is a name, and without both the TLS certificate counts. */
export const credentialOf = ({ chain, clientId, password, user }: Shown): DeviceCredential | undefined => {
  if (user !== undefined && user !== "")
    return password === undefined || password.byteLength === 0
      ? { kind: "token", token: user }
      : { kind: "basic", clientId, user, password: Buffer.from(password).toString("utf8") }
  return chain.length > 0 ? { kind: "x509", chain } : undefined
}
