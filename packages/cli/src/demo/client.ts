/** The little HTTP that the demonstration needs; everything it does, any app can do. */

export class HttpProblem extends Error {
  readonly status: number
  constructor(
    status: number,
    body: {
      readonly title?: string
      readonly detail?: string
      readonly errors?: ReadonlyArray<{ pointer: string; detail: string }>
    },
    address: string
  ) {
    const fields = (body.errors ?? []).map((one) => ` ${one.pointer}: ${one.detail}`).join(";")
    super(`${address} answered ${status}: ${body.detail ?? body.title ?? ""}${fields}`)
    this.status = status
  }
}

export interface Client {
  readonly token: string | undefined
  readonly get: <A>(path: string) => Promise<A>
  readonly post: <A>(path: string, body: unknown, headers?: Readonly<Record<string, string>>) => Promise<A>
  readonly as: (token: string) => Client
}

export const makeClient = (base: string, tenant: string, token?: string): Client => {
  const call = async <A>(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {}
  ): Promise<A> => {
    const response = await fetch(`${base}/t/${tenant}${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    const text = await response.text()
    const answer = (text === "" ? undefined : JSON.parse(text)) as never
    if (!response.ok) throw new HttpProblem(response.status, answer ?? {}, `${method} ${path}`)
    return answer
  }
  return {
    token,
    get: (path) => call("GET", path),
    post: (path, body, headers) => call("POST", path, body, headers),
    as: (next) => makeClient(base, tenant, next)
  }
}
