/**
 * `traffic-report`: what a citizen sends in. `traffic-violation`: one offence in it, decided by itself; the report's state follows from them.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type CaseType, defineCaseType } from "../../kernel/cases/CaseType.ts"
import { createCase } from "../../kernel/cases/create.ts"
import { loadCase } from "../../kernel/cases/record.ts"
import type { CaseRecord } from "../../kernel/cases/model.ts"
import { InvalidInput, Refused } from "../../kernel/cases/model.ts"
import { transitionCase } from "../../kernel/cases/transition.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { fileDecision } from "../filings/index.ts"
import { requestReward } from "../payouts/index.ts"
import type { Offence } from "./model.ts"
import { loadOffence } from "./offences.ts"
import { openViolations, parentOf } from "./sql.ts"

/** What follows from a decision is the engine's own doing. */
const asEngine = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Actor, (actor) => Effect.provideService(effect, Actor, system(actor.tenantId)))

export interface NewViolation {
  readonly offence: string
  readonly plate?: string | undefined
  readonly plateCountry?: string | undefined
  readonly moment?: number | undefined
  readonly findingId?: string | undefined
}

/** Makes a violation of a report, with the report's place and owner. */
export const proposeViolation = Effect.fn("reports.proposeViolation")(function* (
  report: CaseRecord,
  violation: NewViolation
) {
  const offence = yield* loadOffence(violation.offence, violation.offence === report.data["offence"])
  const data = Object.fromEntries(
    Object.entries({ ...violation, fine: Number(offence.fine) }).filter(([, value]) => value !== undefined)
  )
  return yield* asEngine(
    createCase({
      type: "traffic-violation",
      data,
      place: report.place ?? undefined,
      parentId: report.id,
      ownerId: report.ownerId
    })
  )
})

/** The report of a violation, locked: decisions about its violations and about itself come one after another. */
const reportOf = Effect.fnUntraced(function* (violation: CaseRecord) {
  const reportId = yield* parentOf(violation.id)
  return reportId === undefined ? undefined : yield* loadCase(reportId, { lock: true })
})

/** Who took a report back, or told of the same matter as another, is not rewarded for it. */
const demandInReview = (report: CaseRecord | undefined) =>
  report === undefined || report.state === "in-review"
    ? Effect.void
    : Effect.fail(
        new Refused({
          code: "report-not-in-review",
          message: `The report ${report.reference} is ${report.state}. Reject this violation, or reopen the report first.`
        })
      )

/** The citizen's share of a fine in minor units, asked for; zero for who is not known. */
const rewardFor = Effect.fnUntraced(function* (violation: CaseRecord, offence: Offence, fine: bigint) {
  const { id, ownerId } = violation
  const reward = ownerId === null ? 0n : (fine * BigInt(offence.rewardShare)) / 10_000n
  if (ownerId !== null && reward > 0n)
    yield* requestReward({ caseId: id, principalId: ownerId, amount: reward, rule: "share-of-fine" })
  return Number(reward)
})

/** Files an accepted violation, where the city has an authority for it; says whether it has. */
const fileViolation = (violation: CaseRecord, report: CaseRecord | undefined, offence: Offence, plate: string) =>
  report === undefined
    ? Effect.succeed(false)
    : fileDecision({
        caseId: violation.id,
        kind: violation.type,
        evidenceCaseId: report.id,
        offence: offence.code,
        article: offence.article,
        plate,
        ...(typeof violation.data["plateCountry"] === "string" ? { plateCountry: violation.data["plateCountry"] } : {}),
        occurredAt: Date.parse(String(report.data["occurredAt"])),
        ...(violation.place === null ? {} : { place: violation.place })
      })

/** After a decision: when no violation of the report is open any more, the report is decided. The report is locked: see `reportOf`. */
const settleReport = Effect.fnUntraced(function* (
  report: CaseRecord | undefined,
  violation: CaseRecord,
  decided: string
) {
  if (report === undefined) return
  const open = yield* openViolations(report.id)
  if (open.some((id) => id !== violation.id)) return
  yield* enqueue([
    {
      topic: "reports.settle",
      body: { reportId: report.id },
      uniqueKey: `${report.id}:${violation.id}:${decided}:${violation.version}`
    }
  ])
})

/** Minutes that a phone's clock may be ahead of ours. */
const clockSkew = 5

const notFromTheFuture = Effect.fnUntraced(function* (occurredAt: string) {
  const now = yield* Clock.currentTimeMillis
  if (Date.parse(occurredAt) <= now + clockSkew * 60_000) return
  return yield* new InvalidInput({
    issues: [
      {
        pointer: "/data/occurredAt",
        detail: `This lies in the future: it is ${new Date(now).toISOString()} here. Check the clock of the device and send it again.`
      }
    ]
  })
})

const plate = {
  type: "string",
  title: "Plate",
  description: "Without spaces, upper case",
  pattern: "^[A-Z0-9]{2,12}$",
  visibility: "owner",
  personal: true
} as const

const reason = {
  type: "string",
  title: "Why",
  minLength: 3,
  maxLength: 2000,
  visibility: "owner",
  personal: true
} as const

export const trafficReport: CaseType = defineCaseType({
  definition: {
    id: "traffic-report",
    version: 1,
    title: { en: "Traffic report", uz: "Yoʻl harakati xabari", ru: "Сообщение о нарушении", ka: "საგზაო შეტყობინება" },
    data: {
      properties: {
        offence: {
          type: "string",
          title: "Offence",
          description: "Code of the catalogue",
          maxLength: 60,
          visibility: "owner"
        },
        occurredAt: { type: "string", format: "date-time", title: "When it happened", visibility: "owner" },
        plate,
        moment: { type: "number", title: "Second of the video", minimum: 0, maximum: 86_400, visibility: "owner" },
        description: { type: "string", title: "What happened", maxLength: 4000, visibility: "owner", personal: true },
        mediaProblem: { type: "string", title: "What is wrong with the media", visibility: "owner", personal: true },
        reason
      },
      required: ["offence", "occurredAt"]
    },
    place: "required",
    anonymous: true,
    public: false,
    attachments: { min: 1, max: 10 },
    creatable: true,
    initial: "submitted",
    states: {
      submitted: { title: { en: "Submitted", uz: "Yuborildi", ru: "Отправлено", ka: "გაგზავნილია" }, phase: "open" },
      processing: {
        title: { en: "Processing", uz: "Qayta ishlanmoqda", ru: "Обрабатывается", ka: "მუშავდება" },
        phase: "open"
      },
      "in-review": {
        title: { en: "In review", uz: "Koʻrib chiqilmoqda", ru: "На рассмотрении", ka: "განიხილება" },
        phase: "open"
      },
      decided: { title: { en: "Decided", uz: "Qaror qilindi", ru: "Решено", ka: "გადაწყვეტილია" }, phase: "closed" },
      withdrawn: {
        title: { en: "Withdrawn", uz: "Qaytarib olindi", ru: "Отозвано", ka: "გაუქმებულია" },
        phase: "closed"
      },
      merged: {
        title: { en: "Merged into another", uz: "Birlashtirildi", ru: "Объединено", ka: "გაერთიანებულია" },
        phase: "closed"
      }
    },
    transitions: {
      process: {
        title: { en: "Begin processing" },
        from: ["submitted"],
        to: ["processing"],
        internal: true,
        event: "processing"
      },
      review: {
        title: { en: "Ready for review" },
        from: ["submitted", "processing"],
        to: ["in-review"],
        internal: true,
        event: "in-review",
        input: { properties: { mediaProblem: { type: "string" } } },
        sets: ["mediaProblem"]
      },
      "add-violation": {
        title: { en: "Add a violation" },
        from: ["in-review"],
        to: ["in-review"],
        permission: "traffic-report.decide",
        event: "violation-added",
        input: {
          properties: {
            offence: { type: "string", maxLength: 60 },
            plate,
            moment: { type: "number", minimum: 0, maximum: 86_400 }
          },
          required: ["offence"]
        },
        apply: "addViolation"
      },
      settle: {
        title: { en: "All violations are decided" },
        from: ["in-review"],
        to: ["decided"],
        internal: true,
        event: "decided"
      },
      close: {
        title: { en: "Close without a violation" },
        from: ["in-review"],
        to: ["decided"],
        permission: "traffic-report.decide",
        event: "closed",
        input: { properties: { reason }, required: ["reason"] },
        sets: ["reason"],
        guards: ["nothingOpen"]
      },
      withdraw: {
        title: { en: "Withdraw" },
        from: ["submitted", "processing", "in-review"],
        to: ["withdrawn"],
        event: "withdrawn",
        guards: ["nothingAccepted"]
      },
      appeal: {
        title: { en: "Appeal" },
        from: ["decided"],
        to: ["in-review"],
        event: "appealed",
        input: { properties: { reason }, required: ["reason"] },
        sets: ["reason"],
        apply: "reopenRejected"
      },
      reopen: {
        title: { en: "Reopen" },
        from: ["decided", "withdrawn"],
        to: ["in-review"],
        permission: "traffic-report.decide",
        event: "reopened",
        input: { properties: { reason }, required: ["reason"] },
        sets: ["reason"],
        apply: "reopenRejected"
      },
      merge: {
        title: { en: "Merge into another" },
        from: ["submitted", "processing", "in-review"],
        to: ["merged"],
        internal: true,
        event: "merged"
      }
    },
    deadlines: {
      review: { states: ["in-review"], within: "P3D", working: true, then: { escalate: "municipality-admin" } },
      stuck: {
        states: ["submitted", "processing"],
        within: "PT2H",
        then: { transition: "review", input: { mediaProblem: "Processing took too long; look at the original." } }
      }
    },
    search: ["plate", "offence", "description"],
    duplicates: { within: 150, during: 900, same: ["plate"] }
  },
  created: (record) =>
    Effect.gen(function* () {
      yield* notFromTheFuture(String(record.data["occurredAt"]))
      yield* loadOffence(String(record.data["offence"]))
      yield* enqueue([{ topic: "reports.detect", body: { caseId: record.id } }])
    }),
  guards: {
    nothingOpen: ({ case: record }) =>
      Effect.flatMap(openViolations(record.id), (open) =>
        open.length === 0
          ? Effect.void
          : Effect.fail(
              new Refused({
                code: "violations-open",
                message: `${open.length} violations of this report are not decided yet. Decide them first.`
              })
            )
      ),
    nothingAccepted: ({ case: record }) =>
      Effect.flatMap(openViolations(record.id, ["accepted", "fined", "rewarded"]), (accepted) =>
        accepted.length === 0
          ? Effect.void
          : Effect.fail(
              new Refused({
                code: "already-accepted",
                message: "A violation of this report was accepted already; it cannot be withdrawn."
              })
            )
      )
  },
  applies: {
    addViolation: ({ case: record, input }) =>
      Effect.map(proposeViolation(record, input as NewViolation), (violation) => ({
        event: { violationId: violation.id }
      })),
    reopenRejected: ({ case: record }) =>
      Effect.gen(function* () {
        for (const id of yield* openViolations(record.id, ["rejected"])) {
          yield* asEngine(transitionCase({ caseId: id, transition: "reopen" }))
        }
      })
  }
})

export const trafficViolation: CaseType = defineCaseType({
  definition: {
    id: "traffic-violation",
    version: 2,
    title: { en: "Traffic violation", uz: "Yoʻl harakati qoidabuzarligi", ru: "Нарушение", ka: "დარღვევა" },
    data: {
      properties: {
        offence: { type: "string", title: "Offence", maxLength: 60, visibility: "owner" },
        plate,
        plateCountry: { type: "string", title: "Country of the plate", pattern: "^[A-Z]{2}$", visibility: "owner" },
        moment: { type: "number", title: "Second of the video", minimum: 0, visibility: "owner" },
        findingId: { type: "string", format: "uuid", visibility: "staff" },
        fine: { type: "integer", title: "Fine in minor units", minimum: 0, visibility: "owner" },
        reward: { type: "integer", title: "Reward in minor units", minimum: 0, visibility: "owner" },
        decision: { type: "string", title: "Number of the decision", maxLength: 200, visibility: "owner" },
        reason,
        note: { type: "string", title: "Note", maxLength: 2000, visibility: "staff", personal: true }
      },
      required: ["offence"]
    },
    place: "optional",
    anonymous: false,
    public: false,
    attachments: { min: 0, max: 0 },
    creatable: false,
    initial: "proposed",
    states: {
      proposed: {
        title: { en: "Proposed", uz: "Taklif qilindi", ru: "Предложено", ka: "შემოთავაზებულია" },
        phase: "open"
      },
      accepted: { title: { en: "Accepted", uz: "Qabul qilindi", ru: "Принято", ka: "მიღებულია" }, phase: "fixed" },
      fined: {
        title: { en: "Fined", uz: "Jarima solindi", ru: "Штраф наложен", ka: "დაჯარიმებულია" },
        phase: "fixed"
      },
      dismissed: {
        title: {
          en: "Dismissed by the authority",
          uz: "Organ tomonidan rad etildi",
          ru: "Отклонено органом",
          ka: "უწყებამ არ დააკმაყოფილა"
        },
        phase: "closed"
      },
      rejected: { title: { en: "Rejected", uz: "Rad etildi", ru: "Отклонено", ka: "უარყოფილია" }, phase: "closed" },
      rewarded: {
        title: { en: "Rewarded", uz: "Mukofotlandi", ru: "Вознаграждено", ka: "დაჯილდოებულია" },
        phase: "fixed"
      }
    },
    transitions: {
      accept: {
        title: { en: "Accept" },
        from: ["proposed"],
        to: ["accepted"],
        permission: "traffic-violation.decide",
        event: "accepted",
        input: {
          properties: { plate, offence: { type: "string", maxLength: 60 }, note: { type: "string", maxLength: 2000 } }
        },
        sets: ["plate", "offence", "note"],
        guards: ["notOwn", "hasPlate"],
        apply: "accept"
      },
      reject: {
        title: { en: "Reject" },
        from: ["proposed"],
        to: ["rejected"],
        permission: "traffic-violation.decide",
        event: "rejected",
        input: { properties: { reason }, required: ["reason"] },
        sets: ["reason"],
        apply: "decided"
      },
      reopen: { title: { en: "Reopen" }, from: ["rejected"], to: ["proposed"], internal: true, event: "reopened" },
      fine: {
        title: { en: "Fined by the authority" },
        from: ["accepted", "dismissed"],
        to: ["fined"],
        internal: true,
        event: "fined",
        input: {
          properties: { fine: { type: "integer", minimum: 0 }, decision: { type: "string", maxLength: 200 } }
        },
        sets: ["fine", "decision"],
        apply: "fined"
      },
      dismiss: {
        title: { en: "Dismissed by the authority" },
        from: ["accepted"],
        to: ["dismissed"],
        internal: true,
        event: "dismissed",
        input: { properties: { decision: { type: "string", maxLength: 200 } } },
        sets: ["decision"]
      },
      reward: {
        title: { en: "Reward paid" },
        from: ["accepted", "fined"],
        to: ["rewarded"],
        internal: true,
        event: "rewarded"
      }
    },
    search: ["plate", "offence"]
  },
  guards: {
    notOwn: ({ case: record }) =>
      Effect.flatMap(Actor, (actor) =>
        actor.id !== null && actor.id === record.ownerId
          ? Effect.fail(
              new Refused({ code: "own-report", message: "Nobody decides their own report; leave it to a colleague." })
            )
          : Effect.void
      ),
    hasPlate: ({ case: record, input }) =>
      record.data["plate"] !== undefined || (input as { plate?: string }).plate !== undefined
        ? Effect.void
        : Effect.fail(
            new Refused({
              code: "plate-missing",
              message: "Nobody can be fined without a plate. Read it in the evidence and give it with the decision."
            })
          )
  },
  applies: {
    accept: ({ case: record, input }) =>
      Effect.gen(function* () {
        const report = yield* reportOf(record)
        yield* demandInReview(report)
        const { offence: changed, plate: read } = input as { offence?: string; plate?: string }
        const offence = yield* loadOffence(changed ?? String(record.data["offence"]), changed === undefined)
        const fine = Number(offence.fine)
        const filed = yield* fileViolation(record, report, offence, read ?? String(record.data["plate"]))
        // Where no authority is asked, acceptance counts as the fine.
        const decided = filed ? { fine } : { fine, reward: yield* rewardFor(record, offence, offence.fine) }
        yield* settleReport(report, record, "accept")
        return { data: decided, event: decided }
      }),
    fined: ({ case: record, input }) =>
      Effect.gen(function* () {
        const offence = yield* loadOffence(String(record.data["offence"]), true)
        const fine = (input as { fine?: number }).fine ?? Number(record.data["fine"])
        const reward = yield* rewardFor(record, offence, BigInt(fine))
        return { data: { fine, reward }, event: { fine, reward } }
      }),
    decided: ({ case: record }) => Effect.flatMap(reportOf(record), (report) => settleReport(report, record, "reject"))
  }
})
