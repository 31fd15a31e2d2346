/** A run and its comparison last longer than an access token. */
import { HttpProblem, type Client } from "../demo/client.ts"

/** Signs in anew where the token has run out, once for all who are told so. `signIn` gives another token. */
export const lasting = (client: Client, signIn: () => Promise<string>): Client => {
  let current = Promise.resolve(client)
  const ask = async <A>(call: (client: Client) => Promise<A>): Promise<A> => {
    const used = current
    try {
      return await call(await used)
    } catch (error) {
      if (!(error instanceof HttpProblem) || error.status !== 401) throw error
      if (current === used) current = signIn().then(client.as)
      return call(await current)
    }
  }
  return {
    ...client,
    get: (path) => ask((one) => one.get(path)),
    post: (path, body, headers) => ask((one) => one.post(path, body, headers))
  }
}
