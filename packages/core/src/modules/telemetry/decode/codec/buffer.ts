/**
 * The part of Node's `Buffer` that codecs written for ChirpStack use, which has it as a global: made from bytes or text, read and written
 * as numbers. A script for the sandbox; reading beyond the end throws, as there.
 */
export const bufferScript = `(function () {
  "use strict"
  const decoders = {
    hex: (text) => Array.from({ length: text.length >> 1 }, (_, index) => parseInt(text.slice(2 * index, 2 * index + 2), 16)),
    utf8: (text) => Array.from(unescape(encodeURIComponent(text)), (letter) => letter.charCodeAt(0)),
    latin1: (text) => Array.from(text, (letter) => letter.charCodeAt(0) & 255)
  }
  const encoders = {
    hex: (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(""),
    utf8: (bytes) => decodeURIComponent(encoders.hex(bytes).replace(/../g, "%$&")),
    latin1: (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")
  }
  for (const kind of [decoders, encoders]) {
    kind["utf-8"] = kind.utf8
    kind.ascii = kind.binary = kind.latin1
  }
  const of = (kind, name) => {
    const found = kind[String(name).toLowerCase()]
    if (!found) throw new TypeError("Unknown encoding: " + name)
    return found
  }
  class Buffer extends Uint8Array {
    static from(value, encoding = "utf8") {
      return super.from.call(Buffer, typeof value === "string" ? of(decoders, encoding)(value) : value)
    }
    static alloc(size) { return new Buffer(size) }
    static allocUnsafe(size) { return new Buffer(size) }
    static isBuffer(value) { return value instanceof Buffer }
    static concat(list) { return Buffer.from(list.flatMap((one) => Array.from(one))) }
    slice(start, end) { return this.subarray(start, end) }
    toString(encoding = "utf8", start = 0, end = this.length) { return of(encoders, encoding)(this.subarray(start, end)) }
    readUIntBE(offset, size) { return Array.from({ length: size }, (_, at) => this.readUInt8(offset + at)).reduce((sum, byte) => sum * 256 + byte, 0) }
    readUIntLE(offset, size) { return Array.from({ length: size }, (_, at) => this.readUInt8(offset + size - 1 - at)).reduce((sum, byte) => sum * 256 + byte, 0) }
    readIntBE(offset, size) { const value = this.readUIntBE(offset, size); return value < 2 ** (8 * size - 1) ? value : value - 2 ** (8 * size) }
    readIntLE(offset, size) { const value = this.readUIntLE(offset, size); return value < 2 ** (8 * size - 1) ? value : value - 2 ** (8 * size) }
  }
  const numbers = { Int8: 1, UInt8: 1, Int16: 2, UInt16: 2, Int32: 4, UInt32: 4, Float: 4, Double: 8, BigInt64: 8, BigUInt64: 8 }
  const inView = { Float: "Float32", Double: "Float64", BigUInt64: "BigUint64" }
  for (const [name, size] of Object.entries(numbers))
    for (const order of size === 1 ? [""] : ["LE", "BE"]) {
      const kind = inView[name] || name.replace("UInt", "Uint")
      const view = (buffer) => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
      const methods = {
        ["read" + name + order](offset = 0) { return view(this)["get" + kind](offset, order === "LE") },
        ["write" + name + order](value, offset = 0) { view(this)["set" + kind](offset, value, order === "LE"); return offset + size }
      }
      for (const [method, run] of Object.entries(methods)) {
        Buffer.prototype[method] = run
        Buffer.prototype[method.replace("UInt", "Uint")] = run
      }
    }
  globalThis.Buffer = Buffer
})()`
