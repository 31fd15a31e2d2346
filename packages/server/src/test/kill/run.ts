/** The process that the kill test kills: a whole city over HTTP. It speaks to its parent over IPC and knows nothing of the test. */
import {
  createCity,
  fundBudget,
  identity,
  issueLink,
  notifications,
  payouts,
  putOffence,
  reports,
  security
} from "@mahalla/core"
import { type City, trafficReport, trafficViolation, unbalanced } from "@mahalla/core"
import { ffmpeg } from "@mahalla/ffmpeg"
import { filesystem } from "@mahalla/filesystem"
import { outboxMessenger } from "@mahalla/outbox-messenger"
import { plates } from "@mahalla/plates"
import { postgres } from "@mahalla/postgres"
import { sandboxPayments } from "@mahalla/sandbox-payments"
import { serve } from "../../serve.ts"
import { drainOnSignal } from "../../signals.ts"
import { standInDetector, standInEncoder } from "./standIns.ts"
import { type Answer, type Question, slug } from "./talk.ts"
import { witness } from "./witness.ts"

const home = process.env["KILL_HOME"] ?? ""
const real = process.env["KILL_MEDIA"] === "real"
const databaseUrl = process.env["KILL_DATABASE_URL"]
const seed = Number(process.env["KILL_SEED"] ?? 1)

const city: City = createCity({
  home,
  mode: "dev",
  logFormat: "json",
  logLevel: "Info",
  // Each client of the test stands for another address.
  trustedProxies: ["127.0.0.1", "::1"],
  // Signed all the time, so that many checkpoints are being written when it is killed.
  audit: { checkpointEvery: 0.2 },
  plugins: [
    ...postgres(databaseUrl === undefined ? {} : { url: databaseUrl }),
    filesystem({}),
    ...(real ? [ffmpeg({ threads: 1 }), plates({ countries: ["UZ"] })] : [standInEncoder({}), standInDetector({})]),
    outboxMessenger({}),
    // Whatever can happen to an answer. No refusals: every accepted violation must end paid.
    sandboxPayments({
      seed,
      timeout: 1_500,
      faults: {
        "lost-before": 0.08,
        "lost-after": 0.12,
        slow: 0.08,
        duplicate: 0.03,
        "rate-limited": 0.04,
        unavailable: 0.04,
        "error-body": 0.05,
        malformed: 0.05,
        "wrong-id": 0.04,
        "pending-success": 0.05,
        late: 0.05,
        "status-lost": 0.05,
        "status-malformed": 0.05,
        "status-unavailable": 0.05
      }
    })
  ],
  modules: [
    security(),
    identity(),
    payouts(),
    reports(),
    notifications({ caseTypes: [trafficReport, trafficViolation] }),
    witness()
  ]
})

const found = async () => {
  if ((await city.admin.tenants.list()).length > 0) return
  await city.admin.tenants.create({
    slug,
    name: "Killtown",
    settings: {
      timeZone: "Asia/Samarkand",
      languages: ["en"],
      country: "UZ",
      currency: "UZS",
      calendar: { days: [1, 2, 3, 4, 5], from: "09:00", to: "18:00", holidays: [] },
      corsOrigins: [],
      // Few citizens who report without end, and all of them must end paid.
      payoutsPerDay: 1_000_000,
      notifications: { perDay: 10_000 }
    }
  })
  await city.admin.principals.createStaff(slug, { name: "Ada", roles: ["municipality-admin"] })
  await city.admin.principals.createStaff(slug, { name: "Ina", roles: ["inspector"] })
  const engine = city.as({ tenant: slug, principal: "system" })
  await engine.run(
    putOffence({
      code: "red-light",
      article: "128-1",
      title: { en: "Red light" },
      fine: 1_000_00n,
      rewardShare: 1500,
      active: true
    })
  )
  await engine.run(fundBudget({ amount: 1_000_000_000_00n, memo: "Budget of the test" }))
}

const say = (answer: Answer) => process.send?.(answer)

const link = async (role: string) => {
  const [person] = await city.admin.staffWithRole(slug, role)
  return city.admin.run(slug, issueLink(person?.id ?? ""))
}

process.on("message", (question: Question) => {
  const answer: Promise<Answer> =
    question.ask === "links"
      ? Promise.all([link("municipality-admin"), link("inspector")]).then(([admin, inspector]) => ({
          links: { admin, inspector }
        }))
      : city.admin.run(slug, unbalanced).then((rows) => ({
          unbalanced: JSON.parse(
            JSON.stringify(rows, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value))
          ) as ReadonlyArray<unknown>
        }))
  answer.then(say, (error: unknown) => process.stderr.write(`${String(error)}\n`))
})

await city.start()
await found()
const serving = await serve(city, { port: Number(process.env["KILL_PORT"] ?? 0), host: "127.0.0.1" })
drainOnSignal(serving)
say({ ready: { url: `http://127.0.0.1:${serving.port}` } })
