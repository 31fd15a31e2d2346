/** Texts that would change a statement if it were put together from text: out of a literal, a name, a list, a JSON path, a search or a box, and on. */
import fc from "fast-check"

/** Seconds that the payloads sleep which get through. */
export const sleep = 3

const breakouts = [
  "",
  "'",
  "''",
  '"',
  "`",
  "\\'",
  "')",
  "'))",
  '")',
  "1",
  "1)",
  "$$",
  "$1",
  "E'",
  "%27",
  "\u02bc",
  "\uff07",
  "\u2019",
  "}",
  "]",
  "*/",
  "\n",
  "?",
  ":x",
  "{",
  "\u0000"
]
const payloads = [
  " or 1=1",
  " and 1=2",
  `;select pg_sleep(${sleep})`,
  `||pg_sleep(${sleep})`,
  `::text||(select pg_sleep(${sleep}))::text`,
  ` or (select 1 from pg_sleep(${sleep})) is not null`,
  ` union select null,version()`,
  ` order by (select pg_sleep(${sleep}))`,
  ` limit (select count(*) from pg_sleep(${sleep}))`,
  `,(select 1 from pg_sleep(${sleep}))`,
  `;set role postgres`,
  `;copy (select 1) to program 'true'`,
  " is distinct from null",
  " & !a | b <-> c:*",
  "->>'phone'",
  "#>>'{a,b}'",
  " ? (@.a == pg_sleep(1))",
  "{11111111-1111-1111-1111-111111111111}",
  " = any(path)",
  "::uuid[]",
  "%",
  "_",
  "\\"
]
const ends = ["", "--", "-- -", "/*", "#", ";", "'", '"', ")", "--\n"]

export const hostileSql: fc.Arbitrary<string> = fc
  .tuple(
    fc.oneof(fc.constant(""), fc.string({ maxLength: 6 })),
    fc.constantFrom(...breakouts),
    fc.constantFrom(...payloads),
    fc.constantFrom(...ends)
  )
  .map((parts) => parts.join(""))

/** The same inside something that is right as far as it goes. */
export const hostileInside = (valid: string): fc.Arbitrary<string> =>
  fc.oneof(
    hostileSql,
    hostileSql.map((text) => valid + text),
    fc.tuple(hostileSql, fc.nat({ max: valid.length })).map(([text, at]) => valid.slice(0, at) + text + valid.slice(at))
  )
