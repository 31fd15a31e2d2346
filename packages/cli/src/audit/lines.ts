/** A file line by line, in constant memory. */
import { createReadStream } from "node:fs"

/** Longer lines are nothing that an export or a checkpoint has. */
const longest = 64 * 1024 * 1024

/** Lines without their end, counted from 1; an empty last one is left out. */
export async function* linesOf(path: string): AsyncGenerator<{ readonly number: number; readonly text: string }> {
  let rest: Array<Buffer> = []
  let waiting = 0
  let number = 0
  const whole = (last: Buffer) => {
    const text = Buffer.concat([...rest, last]).toString("utf8")
    rest = []
    waiting = 0
    return { number: ++number, text: text.endsWith("\r") ? text.slice(0, -1) : text }
  }
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let from = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      yield whole(chunk.subarray(from, end))
      from = end + 1
    }
    rest.push(chunk.subarray(from))
    waiting += chunk.length - from
    if (waiting > longest) throw new Error(`${path} has a line of more than ${longest} bytes`)
  }
  if (waiting > 0) yield whole(Buffer.alloc(0))
}
