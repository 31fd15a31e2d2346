/** A scan for people: a line for each operation, then what it came to. */
import type { Scanned } from "./scan.ts"

const counts = (statuses: ReadonlyMap<number, number>) =>
  [...statuses]
    .toSorted(([one], [other]) => one - other)
    .map(([status, count]) => `${status} × ${count}`)
    .join(", ")

export const reportOf = ({ faults, found, ignored, tried }: Scanned, minutes: number): string => {
  const total = new Map<number, number>()
  for (const { statuses } of tried)
    for (const [status, count] of statuses) total.set(status, (total.get(status) ?? 0) + count)
  const sum = (of: (one: (typeof tried)[number]) => number) => tried.reduce((all, one) => all + of(one), 0)
  return [
    "| operation | as | fields | requests | answers | got in |",
    "| --- | --- | --- | --- | --- | --- |",
    ...tried.map(
      ({ fields, label, person, reached, requests, statuses }) =>
        `| ${label} | ${person} | ${fields} | ${requests} | ${counts(statuses)} | ${(reached * 100).toFixed(1)} % |`
    ),
    "",
    `${new Set(tried.map(({ label }) => label)).size} operations, ${tried.length} with who asks them, ${sum(({ fields }) => fields)} fields, ${sum(({ requests }) => requests)} requests in ${minutes.toFixed(1)} minutes (sqlmap ${(sum(({ seconds }) => seconds.sqlmap) / 60).toFixed(1)}, wapiti ${(sum(({ seconds }) => seconds.wapiti) / 60).toFixed(1)}): ${counts(total)}.`,
    ...found.map(
      ({ field, kind, label, text, tool }) => `- ${tool}: ${label} ${field}: ${kind}: ${text.split("\n")[0]}`
    ),
    ...[...ignored].map(([{ kind, reason }, times]) => `- passed over ${times} times: ${kind}. ${reason}`),
    ...faults.map((fault) => `- no proof: ${fault}`),
    ""
  ].join("\n")
}
