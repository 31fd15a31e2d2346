/**
 * The file of a list: a line of JSON that says what was hashed and proves the key, then a line for each member, followed by the day they left
 * where they did. Lines are sorted, so that their order tells nothing.
 */
import type { ClaimName } from "@mahalla/core/plugin"
import * as Schema from "effect/Schema"
import { proofOf } from "./entries.ts"

export interface MemberList {
  readonly needs: ReadonlyArray<ClaimName>
  /** By entry: the day from which they are no member any more, or null. */
  readonly members: ReadonlyMap<string, string | null>
}

const Head = Schema.fromJsonString(
  Schema.Struct({
    format: Schema.Literal("mahalla-member-list/1"),
    needs: Schema.Array(Schema.Literals(["birthDate", "name"])),
    proof: Schema.String
  })
)
const decodeHead = Schema.decodeUnknownOption(Head)

export const writeList = (key: string, { members, needs }: MemberList): string => {
  const head = JSON.stringify({ format: "mahalla-member-list/1", needs, proof: proofOf(key) })
  const lines = [...members].map(([entry, left]) => (left === null ? entry : `${entry} ${left}`)).sort()
  return [head, ...lines, ""].join("\n")
}

/** Throws with what is wrong and what to do; no line is repeated. */
export const readList = (key: string, text: string): MemberList => {
  const [first = "", ...lines] = text.split("\n")
  const head = decodeHead(first)
  if (head._tag === "None") throw new Error("This is no list of members. Make one with mahalla-member-list.")
  if (head.value.proof !== proofOf(key))
    throw new Error("The list was made with another key. Give the same one to both.")
  if (lines.pop() !== "") throw new Error("The list is cut off. Make it again.")
  const members = new Map<string, string | null>()
  for (const [place, line] of lines.entries()) {
    const parts = /^([\w-]{43})(?: (\d{4}-\d{2}-\d{2}))?$/.exec(line)
    if (parts === null) throw new Error(`Line ${place + 2} of the list is damaged. Make it again.`)
    members.set(parts[1]!, parts[2] ?? null)
  }
  return { needs: head.value.needs, members }
}
