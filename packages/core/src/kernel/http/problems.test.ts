import { ConnectionError, SqlError, UnknownError } from "effect/sql/SqlError"
import { expect, it } from "vitest"
import { problemOf } from "./problems.ts"

const refused = (code: string) => {
  const cause = Object.assign(new Error("the database system is starting up"), { code })
  return new SqlError({
    reason: new UnknownError({ cause, message: "PgConnection: Failed to connect", operation: "connect" })
  })
}

it.each(["57P01", "57P02", "57P03", "53300"])("says_that_the_database_is_away_for_%s", (code) => {
  const answer = problemOf(refused(code))
  expect(answer).toMatchObject({ status: 503, headers: { "retry-after": "2" } })
})

it("promises_nothing_about_a_commit_whose_answer_was_lost", () => {
  const cause = new Error("Connection closed")
  const answer = problemOf(
    new SqlError({ reason: new ConnectionError({ cause, message: "Connection closed", operation: "query" }) })
  )
  expect(answer?.status).toBe(503)
  expect(answer?.body.detail).not.toContain("Nothing was changed")
})

it("leaves_other_words_of_the_database_a_fault_of_ours", () => {
  expect(problemOf(refused("22012"))).toBeUndefined()
})
