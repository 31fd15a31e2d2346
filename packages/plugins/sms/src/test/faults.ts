/**
 * What goes wrong at a simulated provider, and when: what was asked for next comes first, then a draw that depends on seed, subject and
 * try alone, however the requests are interleaved.
 */
import { createHash } from "node:crypto"

export class Faults<Name extends string> {
  readonly next: Array<Name> = []
  rates: { readonly [N in Name]?: number } = {}
  seed = 1
  private readonly names: ReadonlyArray<Name>
  private readonly tries = new Map<string, number>()

  constructor(names: ReadonlyArray<Name>) {
    this.names = names
  }

  /** Throws with the name that is none. */
  set(input: {
    readonly next?: ReadonlyArray<Name>
    readonly rates?: { readonly [N in Name]?: number }
    readonly seed?: number
  }) {
    for (const name of [...(input.next ?? []), ...Object.keys(input.rates ?? {})])
      if (!(this.names as ReadonlyArray<string>).includes(name)) throw new Error(`There is no fault "${name}".`)
    this.next.push(...(input.next ?? []))
    this.rates = input.rates ?? this.rates
    this.seed = input.seed ?? this.seed
  }

  draw(subject: string): Name | undefined {
    const scripted = this.next.shift()
    if (scripted !== undefined) return scripted
    const attempt = this.tries.get(subject) ?? 0
    this.tries.set(subject, attempt + 1)
    const digest = createHash("sha256").update(`${this.seed} ${attempt} ${subject}`).digest()
    let point = digest.readUInt32BE(0) / 2 ** 32
    for (const name of this.names) {
      point -= this.rates[name] ?? 0
      if (point < 0) return name
    }
    return undefined
  }
}
