/**
 * Asks the list. It lies on this machine, so nothing is lost on the way; what can happen is that it cannot be read.
 */
import { IdentityCheck, IdentityCheckError, type IdentityQuestion, questionMistake } from "@mahalla/core/plugin"
import { readFile, stat } from "node:fs/promises"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { MemberListConfig } from "./config.ts"
import { entryOf, referenceOf } from "./entries.ts"
import { type MemberList, readList } from "./listFile.ts"
import { numberPattern } from "./number.ts"

const patience = 5_000

/** The list as it is now; it is read again when the file has changed. */
const reader = ({ file, key }: MemberListConfig) => {
  let seen = ""
  let list: MemberList | undefined
  return Effect.tryPromise(async () => {
    const { ino, mtimeMs, size } = await stat(file)
    const now = `${ino} ${mtimeMs} ${size}`
    if (list === undefined || now !== seen) {
      list = readList(Redacted.value(key), await readFile(file, "utf8"))
      seen = now
    }
    return list
  }).pipe(Effect.mapError(({ cause }) => (cause instanceof Error ? cause : new Error("It cannot be read."))))
}

export const makeMemberList = Effect.fnUntraced(function* (config: MemberListConfig) {
  const read = reader(config)
  const key = Redacted.value(config.key)
  const { needs } = yield* read
  const form = { needs, numberPattern }
  const fail = (reason: "InvalidRequest" | "Unavailable", id: string, message: string) =>
    new IdentityCheckError({ reason, operation: "check", subject: id, message, retryable: reason === "Unavailable" })

  const listFor = (id: string) =>
    read.pipe(
      Effect.filterOrFail(
        (list) => list.needs.join() === needs.join(),
        () => new Error("It asks for other things than at the start of the city. Start the city again.")
      ),
      Effect.mapError(({ message }) => fail("Unavailable", id, `The list of members cannot be used. ${message}`)),
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () => Effect.fail(fail("Unavailable", id, "The list of members was not read in time. Ask again later."))
      })
    )

  return IdentityCheck.of({
    ...form,
    title: config.title,
    numberTitle: { en: "Member number", uz: "Aʼzolik raqami", ru: "Номер участника", ka: "წევრის ნომერი" },
    patience,
    check: Effect.fn("IdentityCheck.check")(function* (question: IdentityQuestion) {
      const wrong = questionMistake(question, form)
      if (wrong !== undefined) return yield* fail("InvalidRequest", question.id, wrong)
      const { members } = yield* listFor(question.id)
      const left = members.get(entryOf(key, needs, question.claims))
      if (left === undefined) return { state: "not-confirmed", reason: "no-match" } as const
      const today = DateTime.formatIsoDateUtc(DateTime.makeUnsafe(yield* Clock.currentTimeMillis))
      if (left !== null && left <= today) return { state: "not-confirmed", reason: "not-valid" } as const
      const reference = referenceOf(key, question.claims.number)
      return { state: "confirmed", assurance: config.assurance, reference } as const
    })
  })
})
