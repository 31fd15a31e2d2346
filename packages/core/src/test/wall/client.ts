/** A bare connection for a test's questions. */
import pg from "pg"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

export const withClient = <A>(url: Redacted.Redacted<string>, use: (client: pg.Client) => Promise<A>) =>
  Effect.promise(async () => {
    const client = new pg.Client({ connectionString: Redacted.value(url) })
    client.on("error", () => {})
    await client.connect()
    try {
      return await use(client)
    } finally {
      await client.end()
    }
  })
