/**
 * The script that every context begins with. Its value is the function through which the host calls the codec; it keeps its own JSON, so
 * that a codec which changes the built-in objects fools nobody but itself. The clock stands at `recvTime`: the same message gives the
 * same readings when it is replayed a year later.
 */
export const prelude = `(function () {
  "use strict"
  const { parse, stringify } = JSON
  const RealDate = Date
  let now = 0
  const clock = () => now
  const Pinned = new Proxy(RealDate, {
    construct: (target, args, self) => Reflect.construct(target, args.length === 0 ? [now] : args, self),
    apply: () => new RealDate(now).toString(),
    get: (target, key) => (key === "now" ? clock : target[key])
  })
  RealDate.prototype.constructor = Pinned
  globalThis.Date = Pinned
  const quiet = () => undefined
  globalThis.console = { log: quiet, info: quiet, warn: quiet, error: quiet, debug: quiet }
  const text = (error) => {
    try { return error instanceof Error ? error.name + ": " + error.message : String(error) } catch (_) { return "an error that cannot be told" }
  }
  // Bytes may come as an array or as any of the typed ones.
  const plain = (returned) =>
    returned !== null && typeof returned === "object" && ArrayBuffer.isView(returned.bytes)
      ? { ...returned, bytes: Array.from(returned.bytes) }
      : returned
  return (question) => {
    const { name, input, recvTime } = parse(question)
    const named = {
      decodeUplink: () => (typeof decodeUplink === "function" ? decodeUplink : undefined),
      decodeDownlink: () => (typeof decodeDownlink === "function" ? decodeDownlink : undefined),
      encodeDownlink: () => (typeof encodeDownlink === "function" ? encodeDownlink : undefined)
    }
    try {
      if (recvTime !== undefined) {
        now = recvTime
        input.recvTime = new RealDate(recvTime)
      }
      const found = named[name]()
      if (found !== undefined) return stringify({ returned: plain(found(input)) })
      if (name === "decodeUplink" && typeof Decode === "function")
        return stringify({ returned: { data: Decode(input.fPort, input.bytes, input.variables) } })
      if (name === "encodeDownlink" && typeof Encode === "function")
        return stringify({ returned: plain({ bytes: Encode(input.fPort, input.data, input.variables), fPort: input.fPort }) })
      return stringify({ thrown: "The codec has no function " + name + "." })
    } catch (error) {
      return stringify({ thrown: text(error) })
    }
  }
})()`
