/**
 * Checks an exported log against checkpoints that were kept outside. It shares no code with the engine, trusts nothing in the export,
 * and reads it once, line by line.
 */
import { existsSync } from "node:fs"
import { issuerOf, readCheckpoints, readKeys } from "./checkpoints.ts"
import { Finding } from "./findings.ts"
import { linesOf } from "./lines.ts"
import { GrowingTree, leafHash } from "./tree.ts"

export interface Request {
  /** NDJSON, as `GET /v1/audit/export` gives it from position 1. */
  readonly export: string
  /** File of checkpoints. */
  readonly checkpoints: string
  /** JWK set or JWK: file or address. Default: what the checkpoints' issuer publishes. */
  readonly key?: string
  /** Position up to which payloads may have been dropped by age. Default 0: none. Of those only the hash is there. */
  readonly droppedUpTo?: number
}

export interface Verified {
  readonly events: number
  /** Of all events, base64url. */
  readonly root: string
  readonly checkpoints: number
  /** Events at the end for which there is no checkpoint yet: nothing is proved about them. */
  readonly unsigned: number
  readonly tenant: string
  /** Events at the beginning whose payloads were dropped: their hashes are what was signed, what they said is gone. */
  readonly dropped: number
  /** Where the key came from. */
  readonly key: string
}

interface Line {
  readonly position: number
  /** Hex: what the log says of the event. */
  readonly hash: string
  readonly leaf: Readonly<Record<string, unknown>> | null
  /** The city says that age took it. */
  readonly dropped?: boolean
}

const lineOf = (number: number, text: string): Line => {
  let line: Partial<Line> | null = null
  try {
    line = JSON.parse(text) as Partial<Line> | null
  } catch {
    // Said below.
  }
  const { hash, leaf, position } = line ?? {}
  if (!Number.isSafeInteger(position) || typeof hash !== "string" || typeof leaf !== "object")
    throw new Finding(
      "malformed",
      `Line ${number} of the export is no event of a log. Perhaps the download broke off; export again.`
    )
  return line as Line
}

const eventIn = ({ leaf }: Line) => (typeof leaf?.["id"] === "string" ? { event: leaf["id"] } : {})

/** The export has `found` where `expected` should be. Whether that one comes later tells a gap from another order. */
const misplaced = async (path: string, expected: number, found: Line): Promise<Finding> => {
  const place = { position: expected, ...(found.position === expected ? eventIn(found) : {}) }
  if (found.position < expected)
    return new Finding("reordered", `Position ${found.position} stands where ${expected} should be.`, place)
  for await (const { number, text } of linesOf(path)) {
    const line = lineOf(number, text)
    if (line.position !== expected) continue
    return new Finding("reordered", `Position ${expected} stands in line ${number}, behind later ones.`, {
      position: expected,
      ...eventIn(line)
    })
  }
  return new Finding(
    "missing-position",
    `Position ${expected} is missing; ${found.position} stands in its place.`,
    place
  )
}

/** The event as it is must have the hash that the log has of it. */
const checkedLeaf = (line: Line, droppedUpTo: number): Buffer => {
  const place = { position: line.position, ...eventIn(line) }
  // Its hash is not believed either: with it the tree must come to the roots that were signed.
  if (line.leaf === null && line.dropped === true && line.position <= droppedUpTo && /^[0-9a-f]{64}$/.test(line.hash))
    return Buffer.from(line.hash, "hex")
  if (line.leaf === null)
    throw new Finding(
      "missing-content",
      `The event at position ${line.position} is gone; the log still has its hash.${line.dropped === true ? " The city says that it was dropped by age: if you know up to where that is right, give that position as --dropped-up-to." : ""}`,
      place
    )
  const hash = leafHash(line.leaf)
  if (line.leaf["position"] !== line.position || hash.toString("hex") !== line.hash)
    throw new Finding(
      "changed-leaf",
      `The event at position ${line.position} is not the one that was sealed: its hash is ${hash.toString("hex")}, the log has ${line.hash}.`,
      place
    )
  return hash
}

const keyFor = async ({ checkpoints, key }: Request): Promise<string> => {
  if (key !== undefined) return key
  const issuer = await issuerOf(checkpoints)
  if (issuer !== undefined && /^https?:\/\//.test(issuer)) return `${issuer.replace(/\/$/, "")}/.well-known/jwks.json`
  throw new Finding(
    "usage",
    "The checkpoints do not say where their key is. Give --key FILE, or --key with the address of the city's /.well-known/jwks.json."
  )
}

/** Everything there is to check, in order; throws the first `Finding`. */
export const verifyLog = async (request: Request): Promise<Verified> => {
  for (const file of [request.export, request.checkpoints])
    if (!existsSync(file)) throw new Finding("usage", `There is no file ${file}.`)
  const key = await keyFor(request)
  const checkpoints = await readCheckpoints(request.checkpoints, await readKeys(key))
  const tree = new GrowingTree()
  let next = 0
  let proved = 0
  let dropped = 0
  for await (const { number, text } of linesOf(request.export)) {
    const line = lineOf(number, text)
    if (line.position !== tree.size + 1) throw await misplaced(request.export, tree.size + 1, line)
    tree.add(checkedLeaf(line, request.droppedUpTo ?? 0))
    if (line.leaf === null) dropped++
    const due = checkpoints[next]
    if (due?.size !== tree.size) continue
    const root = tree.root().toString("base64url")
    if (root !== due.root)
      throw new Finding(
        "rewritten",
        `Positions ${proved + 1} to ${due.size} are not what was signed: their root is ${root}, the checkpoint of size ${due.size} has ${due.root}. Up to position ${proved} the log is as it was.`,
        { position: proved + 1 }
      )
    proved = due.size
    next++
  }
  const beyond = checkpoints[next]
  if (beyond !== undefined)
    throw new Finding(
      "cut-tail",
      `The export ends at position ${tree.size}, and a checkpoint covers ${checkpoints.at(-1)!.size}: position ${tree.size + 1} is the first that is missing. An export that is older than the checkpoint ends so too; then export again.`,
      { position: tree.size + 1 }
    )
  return {
    events: tree.size,
    root: tree.root().toString("base64url"),
    checkpoints: checkpoints.length,
    unsigned: tree.size - proved,
    dropped,
    tenant: checkpoints[0]!.tenant,
    key
  }
}
