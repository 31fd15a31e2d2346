/**
 * The main job, played against a running server from submit to reward over nothing but its HTTP API: a citizen signs in, uploads, reports; the engine
 * encodes and reads; an inspector decides; the reward is paid; the citizen is told.
 */
import { randomInt, randomUUID } from "node:crypto"
import * as DateTime from "effect/DateTime"
import type { Output } from "../output.ts"
import { type Client, makeClient } from "./client.ts"
import { uploadFile } from "./upload.ts"

export interface PlayOptions {
  readonly base: string
  readonly tenant: string
  readonly file: string
  readonly place: { readonly longitude: number; readonly latitude: number }
  readonly offence: string
  /** What the inspector reads where the detector is not sure. */
  readonly plate: string
  /** One-time tokens of an administrator and an inspector. */
  readonly adminToken: string
  readonly inspectorToken: string
  readonly out: Output
  /** Milliseconds to wait for each thing that the engine does by itself. */
  readonly patience: number
}

interface CaseView {
  readonly id: string
  readonly type: string
  readonly reference: string
  readonly state: string
  readonly version: number
  readonly data: Readonly<Record<string, unknown>>
}

interface FilingView {
  readonly state: string
  readonly authority: string
  readonly verdict: string | null
  readonly reference: string | null
}

interface Page<A> {
  readonly items: ReadonlyArray<A>
}

const until = async <A>(what: string, patience: number, look: () => Promise<A | undefined>): Promise<A> => {
  const end = performance.now() + patience
  for (let wait = 50; ; wait = Math.min(wait * 1.5, 500)) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end)
      throw new Error(`Waited ${patience / 1000} s for: ${what}. Look at the server's log, and at /v1/dead-letters.`)
    await new Promise((resolve) => setTimeout(resolve, wait))
  }
}

/** Reads the newest code sent to a phone from the outbox, as an administrator may. */
const codeFor = (admin: Client, phone: string, patience: number): Promise<string> =>
  until("the sign-in code", patience, async () => {
    const { items } = await admin.get<Page<{ readonly text: string; readonly class: string }>>(
      `/v1/outbox?to=${encodeURIComponent(phone)}`
    )
    return items.flatMap((message) => /\b\d{6}\b/.exec(message.text)?.[0] ?? []).at(-1)
  })

export const play = async (options: PlayOptions): Promise<void> => {
  const { base, out, patience, tenant } = options
  const visitor = makeClient(base, tenant)
  let step = 0
  const timed = async <A>(
    title: string,
    run: () => Promise<readonly [A, string, Readonly<Record<string, unknown>>?]>
  ): Promise<A> => {
    const began = performance.now()
    const [result, told, facts] = await run()
    const seconds = (performance.now() - began) / 1000
    step++
    out.say(`${String(step).padStart(2)}. ${title.padEnd(30)} ${seconds.toFixed(2).padStart(6)} s  ${told}`, {
      step,
      title,
      seconds,
      ...facts
    })
    return result
  }
  const began = performance.now()

  const [admin, inspector] = await timed("Staff sign in by link", async () => {
    const signIn = async (token: string) =>
      visitor.as((await visitor.post<{ accessToken: string }>("/v1/auth/link", { token })).accessToken)
    return [
      [await signIn(options.adminToken), await signIn(options.inspectorToken)] as const,
      "administrator and inspector"
    ]
  })

  const phone = `+99890${String(randomInt(0, 10_000_000)).padStart(7, "0")}`
  const citizen = await timed("Citizen signs in by phone", async () => {
    await visitor.post("/v1/auth/code", { phone, language: "en" })
    const code = await codeFor(admin, phone, patience)
    const session = await visitor.post<{ accessToken: string }>("/v1/auth/session", { phone, code, language: "en" })
    return [visitor.as(session.accessToken), "one-time code read from the outbox"]
  })

  const upload = await timed("Upload (tus)", async () => {
    const id = await uploadFile(base, tenant, citizen.token ?? "", options.file, (done, total) =>
      out.progress("Uploading", done, total)
    )
    const facts = await until("the finished upload", patience, async () => {
      const found = await citizen.get<{
        readonly state: string
        readonly receipt?: string | null
        readonly size: number
        readonly sha256?: string | null
      }>(`/v1/uploads/${id}`)
      return found.state === "stored" ? found : undefined
    })
    return [
      id,
      `${(facts.size / 1e6).toFixed(1)} MB, sha256 ${facts.sha256?.slice(0, 12)}…, signed receipt`,
      { sha256: facts.sha256, receipt: facts.receipt }
    ]
  })

  const report = await timed("Report submitted", async () => {
    const created = await citizen.post<CaseView>(
      "/v1/cases/traffic-report",
      {
        data: {
          offence: options.offence,
          occurredAt: DateTime.formatIso(DateTime.nowUnsafe()),
          description: "Seen on the way to work."
        },
        place: options.place,
        attachments: [upload]
      },
      { "idempotency-key": randomUUID() }
    )
    return [created, `${created.reference}, ${created.state}`, { id: created.id, reference: created.reference }]
  })

  const reviewed = await timed("Read and encoded", async () => {
    const found = await until("the report to be ready for review", patience, async () => {
      const now = await citizen.get<CaseView>(`/v1/cases/traffic-report/${report.id}`)
      return now.state === "in-review" ? now : undefined
    })
    const note = found.data["mediaProblem"]
    return [
      found,
      typeof note === "string" ? `media problem: ${note}` : "standard copy, poster and frames are there",
      { mediaProblem: note }
    ]
  })

  await timed("Findings", async () => {
    const { items } = await inspector.get<
      Page<{
        readonly kind: string
        readonly text: string | null
        readonly certain: boolean
        readonly confidence: number
        readonly at: number | null
      }>
    >(`/v1/reports/${reviewed.id}/findings`)
    const best = new Map<string, string>()
    for (const one of items)
      if (one.text !== null && !best.has(one.text)) best.set(one.text, `${one.text}${one.certain ? "" : " (unsure)"}`)
    const read = best.size === 0 ? "no plate was read" : [...best.values()].slice(0, 6).join(", ")
    const places = items.filter(({ text }) => text === null).length
    return [
      undefined,
      places === 0 ? read : `${read}; ${places} places of faces and unread plates, hidden in the copies`,
      { findings: items }
    ]
  })

  const violations = await timed("Inspector decides", async () => {
    const { items } = await inspector.get<Page<CaseView>>(`/v1/cases?type=traffic-violation&parent=${reviewed.id}`)
    for (const [index, violation] of items.entries()) {
      const read = violation.data["plate"]
      if (index === 0) {
        await inspector.post(
          `/v1/cases/traffic-violation/${violation.id}/transitions/accept`,
          typeof read === "string" ? {} : { plate: options.plate },
          {
            "if-match": `"${violation.version}"`
          }
        )
      } else
        await inspector.post(`/v1/cases/traffic-violation/${violation.id}/transitions/reject`, {
          reason: "Not the vehicle of this offence."
        })
    }
    const plate = items[0]?.data["plate"]
    return [
      items,
      `accepted 1 of ${items.length}: ${typeof plate === "string" ? `plate ${plate} as read` : `plate ${options.plate} as the inspector read it`}`
    ]
  })

  const filing = async () => {
    const path = `/v1/filings?case=${violations[0]!.id}`
    return (await inspector.get<Page<FilingView>>(path)).items[0]
  }
  // A city without an authority, or without the module, rewards what it has accepted.
  if ((await filing().catch(() => undefined)) !== undefined)
    await timed("Filed and fined", async () => {
      const decided = await until("the authority's decision", patience, async () => {
        const now = await filing()
        return now?.state === "decided" ? now : undefined
      })
      return [undefined, `${decided.verdict} as ${decided.reference} by ${decided.authority}`, { filing: decided }]
    })

  await timed("Reward paid", async () => {
    const paid = await until("the reward", patience, async () => {
      const now = await citizen.get<CaseView>(`/v1/cases/traffic-violation/${violations[0]!.id}`)
      return now.state === "rewarded" ? now : undefined
    })
    return [
      paid,
      `${(Number(paid.data["reward"]) / 100).toLocaleString("en")} UZS of a fine of ${(Number(paid.data["fine"]) / 100).toLocaleString("en")}`,
      { reward: paid.data["reward"] }
    ]
  })

  await timed("Report decided", async () => {
    await until("the report to be decided", patience, async () =>
      (await citizen.get<CaseView>(`/v1/cases/traffic-report/${report.id}`)).state === "decided" ? true : undefined
    )
    return [undefined, "all violations are decided"]
  })

  await timed("Citizen was told", async () => {
    const texts = await until("the last message", patience, async () => {
      const { items } = await admin.get<Page<{ readonly text: string; readonly class: string }>>(
        `/v1/outbox?to=${encodeURIComponent(phone)}`
      )
      const notices = items.filter((message) => message.class === "notice").map((message) => message.text)
      return notices.some((text) => text.includes("Decided")) ? notices : undefined
    })
    for (const text of texts) out.say(`      ${text}`)
    return [undefined, `${texts.length} messages`]
  })

  await timed("In the order of events", async () => {
    const { items } = await inspector.get<Page<{ readonly title: string }>>(
      `/v1/cases/traffic-report/${report.id}/timeline`
    )
    return [undefined, `${items.length} entries in the report's timeline`]
  })
  out.say(`\nFrom sign-in to reward in ${((performance.now() - began) / 1000).toFixed(1)} s.`, {
    done: true,
    seconds: (performance.now() - began) / 1000
  })
}
