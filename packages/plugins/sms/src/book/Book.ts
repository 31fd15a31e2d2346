/**
 * What became of each message, on the disk before and after it is handed over: a repeat is sent at most once, also after a crash, and a
 * receipt finds its message after a restart. Texts and numbers are not in it, only a digest of both.
 */
import { createHash } from "node:crypto"
import type { DeliveryReceipt, Message } from "@mahalla/core/plugin"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Journal } from "./Journal.ts"

const Ending = Schema.Literals(["delivered", "failed", "expired"])

const Entry = Schema.Struct({
  id: Schema.String,
  /** Of number and text: another message under the same id is told apart by it. */
  digest: Schema.String,
  /** Four octets of the number's own digest: tells a receipt's message among those with similar ids. */
  to: Schema.String,
  /** `begun`: on its way, or nobody knows. `open`: surely not handed over. */
  state: Schema.Literals(["begun", "open", "accepted", "refused"]),
  /** Epoch milliseconds of its beginning. */
  at: Schema.Number,
  parts: Schema.Int,
  /** The provider's id of each part. */
  references: Schema.optionalKey(Schema.Array(Schema.String)),
  /** Of what was refused. */
  code: Schema.optionalKey(Schema.String),
  message: Schema.optionalKey(Schema.String),
  /** What is known of each part, in the order of `references`; null: nothing yet. */
  endings: Schema.optionalKey(Schema.Array(Schema.NullOr(Ending))),
  receipt: Schema.optionalKey(
    Schema.Struct({ state: Ending, code: Schema.optionalKey(Schema.String), at: Schema.Number })
  )
})
export type Entry = typeof Entry.Type
export type Ending = typeof Ending.Type

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Entry))

export const digestOf = ({ id, text, to }: Pick<Message, "id" | "text" | "to">): string =>
  createHash("sha256")
    .update(JSON.stringify([id, to, text]))
    .digest("base64")

export const numberDigest = (digits: string): string => createHash("sha256").update(digits).digest("hex").slice(0, 8)

export class Book {
  private readonly journal: Journal
  private readonly most: number
  private readonly keysOf: (reference: string) => ReadonlyArray<string>
  private current = new Map<string, Entry>()
  private before = new Map<string, Entry>()
  private readonly byKey = new Map<string, Set<string>>()

  /** `most`: messages after which the oldest are forgotten, when as many again have come. `keysOf`: under what a provider's id is found. */
  constructor(
    folder: string,
    most: number,
    keysOf: (reference: string) => ReadonlyArray<string> = (reference) => [reference]
  ) {
    this.journal = new Journal(folder)
    this.most = most
    this.keysOf = keysOf
  }

  async open(): Promise<void> {
    const lines = await this.journal.open()
    for (const line of lines.before) Option.map(decode(line), (entry) => this.keep(this.before, entry))
    for (const line of lines.current) Option.map(decode(line), (entry) => this.keep(this.current, entry))
  }

  close(): Promise<void> {
    return this.journal.close()
  }

  find(id: string): Entry | undefined {
    return this.current.get(id) ?? this.before.get(id)
  }

  /** Messages with a part whose provider's id has one of these keys. */
  withKeys(keys: ReadonlyArray<string>): ReadonlyArray<Entry> {
    const ids = new Set(keys.flatMap((key) => [...(this.byKey.get(key) ?? [])]))
    return [...ids].flatMap((id) => this.find(id) ?? [])
  }

  /** Receipts that came since then. */
  receiptsSince(at: number): ReadonlyArray<DeliveryReceipt> {
    const all = new Map([...this.before, ...this.current])
    return [...all.values()].flatMap(({ id, receipt }) =>
      receipt !== undefined && receipt.at >= at ? [{ id, ...receipt }] : []
    )
  }

  /** On the disk when it resolves; known from now on in any case. */
  async put(entry: Entry): Promise<void> {
    this.keep(this.current, entry)
    const turn = this.current.size >= this.most
    if (turn) {
      for (const old of this.before.values()) if (!this.current.has(old.id)) this.forget(old)
      this.before = this.current
      this.current = new Map()
    }
    await this.journal.append(JSON.stringify(entry), turn)
  }

  private keep(into: Map<string, Entry>, entry: Entry): void {
    into.set(entry.id, entry)
    for (const reference of entry.references ?? [])
      for (const key of this.keysOf(reference)) this.byKey.set(key, (this.byKey.get(key) ?? new Set()).add(entry.id))
  }

  private forget(entry: Entry): void {
    for (const reference of entry.references ?? [])
      for (const key of this.keysOf(reference)) {
        const ids = this.byKey.get(key)
        ids?.delete(entry.id)
        if (ids?.size === 0) this.byKey.delete(key)
      }
  }
}
