/**
 * A scan: operation by operation, as whoever may ask it, sqlmap and then wapiti at the gate. The result says what was found, how far the requests got,
 * and whatever makes the scan no proof.
 */
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import type { Client } from "../client.ts"
import { type Gate, openGate } from "./gate.ts"
import { accepted, type Ignored, ignored } from "./known.ts"
import { openRewind, type Rewind } from "./rewind.ts"
import { people, type Person, type Scene } from "./scene.ts"
import { runSqlmap, type SqlmapOptions, type Verdict } from "./sqlmap.ts"
import { type Operation, operationsOf } from "./targets.ts"
import { runWapiti } from "./wapiti.ts"

export interface ScanOptions {
  readonly scene: Scene
  /** Where the tools' reports go. */
  readonly folder: string
  readonly asks: (label: string) => boolean
  readonly sqlmap: SqlmapOptions
  /** Of wapiti. */
  readonly modules: ReadonlyArray<string>
  /** Beside the staff member, the citizen where they may ask too. */
  readonly citizens: boolean
  readonly tell?: (line: string) => void
}

export interface Tried {
  readonly label: string
  readonly person: Person
  readonly fields: number
  readonly requests: number
  readonly statuses: ReadonlyMap<number, number>
  /** Of all answers, those from behind the door: neither 401 nor 403, 429 or 503. */
  readonly reached: number
  readonly seconds: { readonly sqlmap: number; readonly wapiti: number }
}

export interface Found {
  readonly tool: "sqlmap" | "wapiti" | "gate"
  readonly label: string
  /** The field's name; empty where no field brought it about. */
  readonly field: string
  readonly kind: string
  readonly text: string
}

export interface Scanned {
  readonly tried: ReadonlyArray<Tried>
  /** Without what is ignored for a reason. */
  readonly found: ReadonlyArray<Found>
  readonly ignored: ReadonlyMap<Ignored, number>
  /** Why it is no proof; empty in a good scan. */
  readonly faults: ReadonlyArray<string>
}

const refused: ReadonlySet<number> = new Set([401, 403, 429, 503])

/** Of what the scanners send, so much must get behind the door at every operation. */
const leastReached = 0.99

const good = (status: number) => status >= 200 && status < 400

/** People's tokens, renewed long before they run out. */
const makeTokens = (scene: Scene) => {
  let at = Number.NEGATIVE_INFINITY
  let tokens: ReadonlyMap<Person, Client> = new Map()
  return async () => {
    if (performance.now() - at > 180_000) {
      const made: Array<readonly [Person, Client]> = []
      for (const person of people) made.push([person, await scene.tokenOf(person)])
      tokens = new Map(made)
      at = performance.now()
    }
    return tokens
  }
}

/** Some operations change something although they refuse: they count failures, and end what was used twice. */
const countsRefusals = (label: string) => /\/auth\/|factor|passkey|\/me$/.test(label)

/** Whether an operation works for somebody, and what must be put back so that it works again. */
const choose = async (gate: Gate, rewind: Rewind, scene: Scene, operation: Operation, as: Client) => {
  let changed: ReadonlyArray<string> = []
  let added: ReadonlyArray<string> = []
  let dirty = false
  const answered = (status: number) => {
    dirty = dirty || good(status) || countsRefusals(operation.label)
  }
  const before = async () => {
    if (dirty && changed.length + added.length > 0) await rewind.restore(changed, added)
    // Jobs are the engine's at all times and never put back.
    if (dirty && operation.path.includes("/dead-letters")) await scene.revive()
    dirty = false
  }
  const show = () => gate.show({ ...operation, as, before, answered, planted: operation.label.includes("/planted/") })
  show()
  const { body, status: first } = await gate.ask()
  const seen = await rewind.changed()
  // But for the sessions that the tokens name.
  const isFree = (name: string) => !/^(session|refresh_token)$/.test(name)
  changed = seen.changed
  // A row that came may stand where one that went must be again.
  added = seen.added.filter((name) => changed.includes(name) && isFree(name))
  dirty = true
  let again = (await gate.ask()).status
  if (again !== first) {
    // Rows that came are in the way of the second time: all of them go.
    added = (await rewind.changed()).added.filter(isFree)
    dirty = true
    again = (await gate.ask()).status
  }
  const clean = async () => {
    const now = await rewind.changed()
    // What was in the way once would be in the way of other operations too.
    await rewind.restore(now.changed, added)
  }
  return { show, status: first, again, clean, text: body.toString("utf8").slice(0, 300) }
}

export const scan = async (options: ScanOptions): Promise<Scanned> => {
  const { asks, folder, modules, scene } = options
  const rewind = await openRewind(scene.kit)
  const gate = await openGate()
  const tokens = makeTokens(scene)
  const tried: Array<Tried> = []
  const found: Array<Found> = []
  const passed = new Map<Ignored, number>()
  const faults: Array<string> = []
  const note = (one: Found) => {
    const known = ignored.find(({ kind, text, tool }) => tool === one.tool && kind === one.kind && text.test(one.text))
    if (known === undefined) found.push(one)
    else passed.set(known, (passed.get(known) ?? 0) + 1)
  }
  const hear = (tool: "sqlmap" | "wapiti", { fields, label }: Operation, verdict: Verdict) => {
    for (const { field, kind, text } of verdict.found)
      note({ tool, label, field: fields[field]?.name ?? "", kind, text })
    faults.push(...verdict.faults.map((fault) => `${label}: ${fault}`))
  }

  const attack = async (operation: Operation, person: Person, number: string) => {
    const place = join(folder, number)
    const none: Verdict = { found: [], faults: [], seconds: 0 }
    const failed = (error: unknown): Verdict => ({ ...none, faults: [String(error)] })
    const bySqlmap =
      operation.fields.length === 0
        ? none
        : await runSqlmap(join(place, "sqlmap"), gate.url, operation, options.sqlmap).catch(failed)
    hear("sqlmap", operation, bySqlmap)
    const afterSqlmap = gate.seen()
    const byWapiti =
      operation.fields.length === 0 || modules.length === 0
        ? none
        : await runWapiti(join(place, "wapiti"), { start: `${gate.url}/`, endpoint: `${gate.url}/`, modules }).catch(
            failed
          )
    hear("wapiti", operation, byWapiti)
    const { faults: wrong, filled, statuses } = gate.seen()
    for (const text of wrong) note({ tool: "gate", label: operation.label, field: "", kind: "answer", text })
    for (const [index, { name }] of operation.fields.entries()) {
      const sqlmaps = afterSqlmap.filled[index] ?? 0
      if (sqlmaps < 10) faults.push(`${operation.label}: sqlmap filled ${name} ${sqlmaps} times`)
      if (modules.length > 0 && (filled[index] ?? 0) === sqlmaps)
        faults.push(`${operation.label}: wapiti never filled ${name}`)
    }
    const requests = [...statuses.values()].reduce((sum, count) => sum + count, 0)
    const atTheDoor = [...statuses].reduce((sum, [status, count]) => sum + (refused.has(status) ? count : 0), 0)
    const reached = requests === 0 ? 1 : 1 - atTheDoor / requests
    const seconds = { sqlmap: bySqlmap.seconds, wapiti: byWapiti.seconds }
    // A 401 of sign-in is the handler's own answer: that a code, a link or a key is none.
    if (person !== "visitor" && accepted[operation.label] === undefined && reached < leastReached)
      faults.push(`${operation.label}: only ${(reached * 100).toFixed(1)} % of the requests of ${person} got in`)
    tried.push({
      label: operation.label,
      person,
      fields: operation.fields.length,
      requests,
      statuses,
      reached,
      seconds
    })
    options.tell?.(
      `${operation.label} as ${person}: ${operation.fields.length} fields, ${requests} requests (${[...statuses]
        .toSorted(([one], [other]) => one - other)
        .map(([status, count]) => `${status} ${count}`)
        .join(", ")}), ${seconds.sqlmap.toFixed(0)} + ${seconds.wapiti.toFixed(0)} s`
    )
  }

  try {
    await mkdir(folder, { recursive: true })
    const operations = (await operationsOf(scene)).filter(({ label }) => asks(label))
    for (const [number, operation] of operations.entries()) {
      const known = accepted[operation.label]
      // Without a field there is nothing to attack: that it is asked is enough.
      const nothing = operation.fields.length === 0
      const answers: Array<string> = []
      let staff = false
      let done = false
      for (const person of known === undefined ? people : [known.as]) {
        const isCitizen = person === "citizen"
        if (isCitizen ? staff && !options.citizens : done) continue
        const as = (await tokens()).get(person)!
        await rewind.keep()
        const { again, clean, show, status, text } = await choose(gate, rewind, scene, operation, as)
        answers.push(`${person} ${status}, ${again}${refused.has(status) || status === 404 ? "" : ` ${text}`}`)
        const works = known === undefined ? good(status) && (good(again) || nothing) : again === known.status
        if (works) {
          show()
          await attack(operation, person, `${number}-${person}`)
          done = true
          staff ||= !isCitizen
        }
        await clean()
      }
      if (!done && !nothing) faults.push(`${operation.label} works for nobody: ${answers.join("; ")}`)
    }
  } finally {
    await gate.close()
  }
  return { tried, found, ignored: passed, faults }
}
