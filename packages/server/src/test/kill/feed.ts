/** Somebody who may see everything watches `/v1/events` over every restart, coming back with `Last-Event-ID`. */
import type { Staff } from "./load.ts"
import { pause } from "./processes.ts"
import type { Town } from "./client.ts"

export interface Feed {
  /** The last position that came. */
  last: number
  /** Connections that broke while it watched. */
  breaks: number
  /** Positions that were skipped, repeated or out of order, in words. */
  readonly wrong: Array<string>
  readonly types: Map<number, string>
}

export const watchFeed = async (town: Town, staff: Staff, running: () => boolean, feed: Feed): Promise<void> => {
  while (running()) {
    await town.ready()
    const stop = new AbortController()
    const guard = setInterval(() => (running() ? undefined : stop.abort()), 100)
    try {
      const response = await fetch(`${town.url}/v1/events`, {
        headers: { authorization: `Bearer ${staff.admin}`, "last-event-id": String(feed.last) },
        signal: stop.signal
      })
      if (!response.ok || response.body === null) throw new Error(`The feed answered ${response.status}`)
      let text = ""
      for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
        text += chunk
        for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
          const lines = text.slice(0, end).split("\n")
          text = text.slice(end + 2)
          const id = lines.find((line) => line.startsWith("id: "))?.slice(4)
          // Without data it only says that the feed is there still.
          if (id === undefined || !lines.some((line) => line.startsWith("data: "))) continue
          const position = Number(id)
          if (position !== feed.last + 1) feed.wrong.push(`after ${feed.last} came ${position}`)
          feed.last = position
          feed.types.set(position, lines.find((line) => line.startsWith("event: "))?.slice(7) ?? "")
        }
      }
    } catch {
      // The server was killed, or we are to stop.
    } finally {
      clearInterval(guard)
    }
    feed.breaks++
    await pause(50)
  }
}
