/** Whether an answer speaks as PostgreSQL does, apart from what the request itself said. */

/** `pg_sleep` is what scanners say, and what the log then says of them. */
const words =
  /syntax error at or near|unterminated quoted|invalid input syntax for|SQLSTATE|\bpg_(?!sleep\b)[a-z]{3,}|relation \\?"|column \\?"|operator does not exist|PostgreSQL.{0,40}ERROR|SqlError|invalid byte sequence|violates [a-z-]+ constraint|\bmahalla\.[a-z_]+/i

/** The first such words; undefined when there are none. Answers may repeat what was sent. */
export const databaseWords = (answer: string, sent: ReadonlyArray<string>): string | undefined => {
  const own = sent
    .filter((text) => words.test(text))
    .flatMap((text) => [text, JSON.stringify(text).slice(1, -1), encodeURIComponent(text)])
    .toSorted((one, other) => other.length - one.length)
  const said = own.reduce((all, text) => all.replaceAll(text, " "), answer)
  return words.exec(said)?.[0]
}
