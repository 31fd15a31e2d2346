/** Walks through every door of the first city with ids in the addresses and bodies that are another city's, or nobody's. */
import type { Answer, Client } from "../client.ts"
import type { CityKit, TenantKit } from "../cityKit.ts"
import { addresses, bodyFor, operations, type Things } from "./things.ts"

export interface Step {
  readonly who: string
  readonly method: string
  /** As the document has it. */
  readonly path: string
  /** With the ids in it. */
  readonly address: string
  readonly body: unknown
  readonly answer: Answer
  /** The address names a thing, so it leads nowhere for whoever may not know of it. */
  readonly names: boolean
}

export type People = ReadonlyArray<readonly [string, Client]>

/** In the order of the document, one after the other. */
export const crawl = async (
  kit: CityKit,
  people: People,
  things: Things,
  tenant: TenantKit
): Promise<ReadonlyArray<Step>> => {
  const all = await operations(kit)
  const steps: Array<Step> = []
  for (const [who, client] of people) {
    for (const { method, path } of all) {
      if (path.startsWith("/v1/auth")) continue
      for (const address of addresses(path, things, tenant)) {
        const query = path === "/v1/cases" || path === "/v1/cases.csv" ? `?parent=${things.report}` : ""
        const tus =
          path.includes("{upload}") && method !== "GET"
            ? { "tus-resumable": "1.0.0", "upload-offset": "0", "content-type": "application/offset+octet-stream" }
            : undefined
        const body = bodyFor(method, path, things)
        const answer = await client.call(method, address + query, {
          ...(tus === undefined ? { body } : { headers: tus }),
          ...(tus !== undefined && method === "PATCH" ? { body: new Uint8Array(4) } : {})
        })
        const names = /\{(id|upload|role|slug)\}/.test(path)
        steps.push({ who, method, path, address: address + query, body, answer, names })
      }
    }
  }
  return steps
}
