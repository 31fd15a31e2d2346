/**
 * The message layer of a CoAP server (RFC 7252, section 4 and 5.2): one answer for each message id, the same one for a retransmission; an
 * empty acknowledgement where the answer takes longer, and the answer then in a message of its own, sent again until it is acknowledged.
 * Packets are read and written by `coap-packet`. (The server of the package `coap` 1.5.0 takes a retransmission that carries a token for a
 * new request while the first one is not answered, and puts blocks together by token, which libcoap changes with each block.)
 */
import { randomInt } from "node:crypto"
import { crc32 } from "node:zlib"
import { generate, type NamedOption, parse, type ParsedPacket } from "coap-packet"

export interface Answer {
  readonly code: string
  /** For people: a diagnostic payload. */
  readonly words?: string | undefined
  readonly options?: ReadonlyArray<NamedOption>
}

export interface Exchanges {
  readonly hear: (datagram: Uint8Array, from: string) => void
  /** Answers that nobody has acknowledged are not sent again. */
  readonly close: () => void
}

interface Exchange {
  readonly at: number
  /** Of the request: a device that begins to count anew, or another one behind the same address, uses an id for something else. */
  readonly sum: number
  /** What a retransmission is answered with. */
  said?: Buffer
}

/** Milliseconds: RFC 7252, 4.8.2, and the time after which a device is told that its message is here. */
const lifetime = 247_000
const acknowledgeAfter = 50
const ackTimeout = 2_500
const mostRetransmissions = 4
/** Message ids that are remembered; the oldest goes first. */
const mostExchanges = 50_000
/** Answers that wait to be acknowledged. */
const mostUnheard = 10_000
/** RFC 7252, section 3: longer ones are reserved. An answer repeats it. */
const longestToken = 8
/** Bytes of a diagnostic payload: an answer must fit into one datagram. */
const mostWords = 512

/** As many whole characters as there is room for. */
const diagnostic = (words: string): Buffer => {
  const bytes = Buffer.alloc(mostWords)
  return bytes.subarray(0, new TextEncoder().encodeInto(words, bytes).written)
}

const parsed = (datagram: Uint8Array): ParsedPacket | undefined => {
  try {
    return parse(Buffer.from(datagram))
  } catch {
    return undefined
  }
}

/** `answer` may call back at once, later or never. `now`: epoch milliseconds. */
export const makeExchanges = (
  send: (datagram: Buffer, to: string) => void,
  answer: (request: ParsedPacket, from: string, say: (answer: Answer) => void) => void,
  now: () => number
): Exchanges => {
  const exchanges = new Map<string, Exchange>()
  const unheard = new Map<string, NodeJS.Timeout>()
  let lastId = randomInt(65_536)

  const again = (key: string, datagram: Buffer, to: string, tries: number) => {
    unheard.delete(key)
    if (tries > mostRetransmissions) return
    send(datagram, to)
    if (unheard.size < mostUnheard)
      unheard.set(
        key,
        setTimeout(() => again(key, datagram, to, tries + 1), ackTimeout * 2 ** tries)
      )
  }
  const heard = (key: string) => {
    clearTimeout(unheard.get(key))
    unheard.delete(key)
  }

  const request = (packet: ParsedPacket, from: string, sum: number) => {
    const { confirmable, messageId, token } = packet
    const key = `${from}/${messageId}`
    for (const [old, { at }] of exchanges) {
      if (exchanges.size <= mostExchanges && now() - at < lifetime) break
      exchanges.delete(old)
    }
    const known = exchanges.get(key)
    if (known?.sum === sum) {
      if (known.said !== undefined) send(known.said, from)
      return
    }
    const exchange: Exchange = { at: now(), sum }
    // Behind the younger ones, where it was there before.
    exchanges.delete(key)
    exchanges.set(key, exchange)
    const say = (datagram: Buffer) => {
      exchange.said = datagram
      send(datagram, from)
    }
    let here = confirmable
      ? setTimeout(() => {
          here = undefined
          say(generate({ code: "0.00", messageId, ack: true }))
        }, acknowledgeAfter)
      : undefined
    let answered = false
    answer(packet, from, ({ code, options = [], words }) => {
      if (answered) return
      answered = true
      const response = { code, token, options: [...options], payload: diagnostic(words ?? "") }
      if (here !== undefined) {
        clearTimeout(here)
        return say(generate({ ...response, messageId, ack: true }))
      }
      lastId = (lastId + 1) % 65_536
      const own = generate({ ...response, messageId: lastId, confirmable })
      if (confirmable) again(`${from}/${lastId}`, own, from, 0)
      else say(own)
    })
  }

  return {
    hear: (datagram, from) => {
      const packet = parsed(datagram)
      if (packet === undefined || packet.token.length > longestToken) return
      const { ack, code, confirmable, messageId, reset } = packet
      if (ack || reset) return heard(`${from}/${messageId}`)
      if (/^0\.0[1-7]$/.test(code)) return request(packet, from, crc32(datagram))
      // A ping, or what is no request: section 4.2.
      if (confirmable) send(generate({ code: "0.00", messageId, reset: true }), from)
    },
    close: () => {
      for (const timer of unheard.values()) clearTimeout(timer)
      unheard.clear()
    }
  }
}
