/** The wall with one stone taken out: each policy dropped, or opened, one at a time. */
import type { Table } from "./holes.ts"

export interface Mutation {
  readonly name: string
  readonly table: string
  /** What it is about. */
  readonly policy: string
  readonly how: "dropped" | "opened" | "opened for new rows"
  readonly text: string
}

export const mutationsOf = (tables: ReadonlyArray<Table>): ReadonlyArray<Mutation> =>
  tables
    .filter(({ partition, tenant }) => tenant && !partition)
    .flatMap(({ granted, name: table }) => [
      {
        name: `${table}.platform_rows dropped`,
        table,
        policy: "platform_rows",
        how: "dropped" as const,
        text: `drop policy platform_rows on mahalla.${table}`
      },
      ...granted.flatMap((verb): ReadonlyArray<Mutation> => {
        const policy = `tenant_${verb}`
        const alter = `alter policy ${policy} on mahalla.${table}`
        return [
          {
            name: `${table}.${policy} dropped`,
            table,
            policy,
            how: "dropped",
            text: `drop policy ${policy} on mahalla.${table}`
          },
          ...(verb === "insert"
            ? []
            : [
                {
                  name: `${table}.${policy} opened`,
                  table,
                  policy,
                  how: "opened" as const,
                  text: `${alter} using (true)`
                }
              ]),
          ...(verb === "insert" || verb === "update"
            ? [
                {
                  name: `${table}.${policy} opened for new rows`,
                  table,
                  policy,
                  how: "opened for new rows" as const,
                  text: `${alter} with check (true)`
                }
              ]
            : [])
        ]
      })
    ])
