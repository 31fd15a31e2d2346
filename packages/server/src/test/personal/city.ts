/** A small city whose work on personal data is killed: its jobs run in a process of their own, and the test looks on from another. */
import { type City, createCity, identity, security } from "@mahalla/core"
import { filesystem } from "@mahalla/filesystem"
import { outboxMessenger } from "@mahalla/outbox-messenger"
import { postgres } from "@mahalla/postgres"

export interface Where {
  readonly databaseUrl: string
  readonly home: string
}

export const cityAt = ({ databaseUrl, home }: Where, only: ReadonlyArray<"worker">): City =>
  createCity({
    home,
    mode: "dev",
    secret: "a secret for the tests of killed jobs, not for use",
    plugins: [postgres({ url: databaseUrl, maxConnections: 12 }), filesystem({}), outboxMessenger({})],
    modules: [security(), identity()],
    only,
    logFormat: "silent"
  })
