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

/** Why a connection was not made, in a word; of several addresses the first one's. */
export const reasonOf = (error: unknown): string => {
  const { cause, code, errors, message } = error as {
    readonly cause?: unknown
    readonly code?: string
    readonly errors?: ReadonlyArray<unknown>
    readonly message?: string
  }
  const inner = cause ?? errors?.[0]
  return code ?? (inner === undefined ? (message ?? String(error)) : reasonOf(inner))
}

const read = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
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
    }).catch((error: Error) => {
      throw new Error(`${base} cannot be reached (${reasonOf(error)}). Is the city running there?`, { cause: error })
    })
    const text = await response.text()
    const answer = read(text) as never
    if (answer === undefined && text !== "")
      throw new Error(`${base} answered ${response.status} and no JSON. Is this the address of a city?`)
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
