/** Speaks to the city as an app does, without a network between. */
import type { City } from "@mahalla/core"

export interface Named {
  readonly id: string
  readonly name: string
  /** Of a device's datastreams. */
  readonly key?: string
  readonly datastreamId?: string
}

/** A body that is a text goes as it is, everything else as JSON. */
export type Call = (
  method: "GET" | "POST" | "PUT",
  path: string,
  body?: unknown
) => Promise<Readonly<Record<string, unknown>> & { readonly id: string; readonly items: ReadonlyArray<Named> }>

export const api =
  (city: City, slug: string, token?: string): Call =>
  async (method, path, body) => {
    const isText = typeof body === "string"
    const response = await city.fetch(
      new Request(`http://localhost/t/${slug}${path}`, {
        method,
        headers: {
          "content-type": isText ? "text/plain" : "application/json",
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
        },
        ...(body === undefined ? {} : { body: isText ? body : JSON.stringify(body) })
      }),
      { ip: "127.0.0.1" }
    )
    const answer = await response.text()
    if (!response.ok) throw new Error(`${method} ${path} of ${slug} answered ${response.status}: ${answer}`)
    return JSON.parse(answer) as Awaited<ReturnType<Call>>
  }
