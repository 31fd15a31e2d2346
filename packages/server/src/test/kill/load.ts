/** The people of the town: citizens who upload and report, an inspector who accepts, somebody who watches the live feed. */
import { createHash, randomBytes, randomUUID } from "node:crypto"
import type { Reply, Town } from "./client.ts"
import { pause } from "./processes.ts"

export interface AcknowledgedUpload {
  readonly id: string
  readonly sha256: string
  readonly size: number
}
export interface AcknowledgedReport {
  readonly key: string
  readonly id: string
  readonly upload: string
}

/** Everything that the city has said yes to. */
export interface Records {
  readonly uploads: Array<AcknowledgedUpload>
  readonly reports: Array<AcknowledgedReport>
  /** Violations whose acceptance was acknowledged. */
  readonly accepted: Set<string>
  /** Phones that have signed in. */
  readonly phones: Array<string>
  /** Answers that came by repeating a request whose own answer was lost: its transaction had committed. */
  committedUnanswered: number
  /** Uploads that went on after a fault where it had stopped them. */
  resumed: number
}

export const noRecords = (): Records => ({
  uploads: [],
  reports: [],
  accepted: new Set(),
  phones: [],
  committedUnanswered: 0,
  resumed: 0
})

export interface Staff {
  admin: string
  inspector: string
}

const json = { "content-type": "application/json" }
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

/** Signs staff in by links that the city's own process has made. */
export const signInStaff = async (town: Town, links: Staff): Promise<Staff> => {
  const session = async (token: string) =>
    (
      (
        await town.until(
          [200],
          [429],
          [
            "sign-in",
            "POST",
            "/v1/auth/link",
            { ...json, "x-forwarded-for": randomAddress() },
            JSON.stringify({ token })
          ]
        )
      ).body as { accessToken: string }
    ).accessToken
  return { admin: await session(links.admin), inspector: await session(links.inspector) }
}

const randomAddress = () => `10.${randomBytes(3).join(".")}`

export interface CitizenOptions {
  readonly town: Town
  readonly records: Records
  readonly staff: Staff
  readonly running: () => boolean
  /** Whether the town has room for another report. */
  readonly room: () => boolean
  /** A small picture; what is behind its end makes each file another one. */
  readonly picture: Buffer
  /** Files that go before the made ones, once each: real clips for the real encoder. */
  readonly special: Array<Buffer>
}

/** One citizen: signs in, uploads in pieces, reports, and again. */
export const citizen = async (options: CitizenOptions): Promise<void> => {
  const { records, staff, town } = options

  const signIn = async (): Promise<string> => {
    // A lost answer may have used the code up, and another one for the number takes half a minute: somebody else comes then.
    for (;;) {
      const phone = `+99890${String(randomBytes(4).readUInt32BE(0) % 10_000_000).padStart(7, "0")}`
      const from = { "x-forwarded-for": randomAddress() }
      await town.until(
        [202, 429],
        [],
        ["sign-in", "POST", "/v1/auth/code", { ...json, ...from }, JSON.stringify({ phone, language: "en" })]
      )
      let code: string | undefined
      for (let looks = 0; code === undefined && looks < 40; looks++) {
        const { body } = await town.until([200], [], () => [
          "read",
          "GET",
          `/v1/outbox?to=${encodeURIComponent(phone)}`,
          bearer(staff.admin)
        ])
        const { items } = body as { items: ReadonlyArray<{ text: string }> }
        code = items.flatMap(({ text }) => /\b\d{6}\b/.exec(text)?.[0] ?? []).at(-1)
        if (code === undefined) await pause(100)
      }
      if (code === undefined) continue
      const session = await town.until(
        [200, 401],
        [],
        ["sign-in", "POST", "/v1/auth/session", { ...json, ...from }, JSON.stringify({ phone, code, language: "en" })]
      )
      if (session.status === 401) continue
      records.phones.push(phone)
      return (session.body as { accessToken: string }).accessToken
    }
  }

  const upload = async (token: string, file: Buffer): Promise<string> => {
    const headers = { ...bearer(token), "tus-resumable": "1.0.0" }
    const begun = await town.until(
      [201],
      [],
      [
        "upload",
        "POST",
        "/v1/uploads",
        {
          ...headers,
          "upload-length": String(file.length),
          "upload-metadata": `filename ${Buffer.from("seen.jpg").toString("base64")}`
        }
      ]
    )
    const path = new URL(begun.headers.get("location") ?? "", town.url).pathname
    let safe = 0
    let broken = false
    while (safe < file.length) {
      await town.ready()
      if (broken) {
        const { headers: told } = await town.until([200], [423, 409], ["upload", "HEAD", path, headers])
        const offset = Number(told.get("upload-offset"))
        if (offset < safe) town.surprises.push(`Upload ${path}: ${safe} bytes were acknowledged, ${offset} are there`)
        safe = offset
        broken = false
        records.resumed++
        continue
      }
      const piece = file.subarray(safe, safe + 8_192 + Math.floor(Math.random() * 16_384))
      const reply = await town
        .send(
          "upload",
          "PATCH",
          path,
          { ...headers, "upload-offset": String(safe), "content-type": "application/offset+octet-stream" },
          piece
        )
        .catch((): Reply | undefined => undefined)
      if (reply?.status === 204) safe = Number(reply.headers.get("upload-offset"))
      else if (reply === undefined || reply.status >= 500 || [409, 423].includes(reply.status)) {
        broken = true
        await pause(50)
      } else {
        town.surprises.push(`PATCH ${path} answered ${reply.status}: ${JSON.stringify(reply.body)}`)
        throw new Error(town.surprises.at(-1))
      }
      await pause(Math.random() * 15)
    }
    const sha256 = createHash("sha256").update(file).digest("hex")
    for (;;) {
      const { body } = await town.until([200], [], ["upload", "GET", path, headers])
      const facts = body as { id: string; state: string; sha256: string; size: number }
      if (facts.state === "stored") {
        if (facts.sha256 !== sha256) town.surprises.push(`Upload ${facts.id} has another hash than what was sent`)
        records.uploads.push({ id: facts.id, sha256, size: file.length })
        return facts.id
      }
      // Whoever asks puts it together, once the claim of a killed server has run out.
      await town.until([200], [423, 409], ["upload", "HEAD", path, headers])
      await pause(100)
    }
  }

  const report = async (token: string, id: string): Promise<void> => {
    const key = randomUUID()
    const body = JSON.stringify({
      data: { offence: "red-light", occurredAt: new Date().toISOString(), description: key },
      place: { longitude: 66.97, latitude: 39.65 },
      attachments: [id]
    })
    const request = [
      "submit",
      "POST",
      "/v1/cases/traffic-report",
      { ...json, ...bearer(token), "idempotency-key": key },
      body
    ] as const
    const made = await town.until([201], [409], [...request])
    const caseId = (made.body as { id: string }).id
    if (made.tries > 1 && made.headers.get("idempotency-replayed") === "true") records.committedUnanswered++
    records.reports.push({ key, id: caseId, upload: id })
    if (Math.random() > 0.1) return
    const again = await town.until([201], [409], [...request])
    if ((again.body as { id: string }).id !== caseId)
      town.surprises.push(`Key ${key} stands for two reports: ${caseId} and ${(again.body as { id: string }).id}`)
  }

  let token = await signIn()
  let since = performance.now()
  while (options.running()) {
    if (!options.room()) {
      await pause(200)
      continue
    }
    // Tokens live for a quarter of an hour; a new person also keeps sign-in under fire.
    if (performance.now() - since > 60_000) {
      token = await signIn()
      since = performance.now()
    }
    const file =
      options.special.shift() ??
      Buffer.concat([options.picture, randomBytes(20_000 + Math.floor(Math.random() * 60_000))])
    await report(token, await upload(token, file))
    await pause(Math.random() * 150)
  }
}

/** Accepts whatever is proposed. */
export const inspector = async (options: Omit<CitizenOptions, "picture" | "special" | "room">): Promise<void> => {
  const { records, running, staff, town } = options
  while (running()) {
    const { body } = await town.until([200], [], () => [
      "read",
      "GET",
      "/v1/cases?type=traffic-violation&state=proposed&limit=20",
      bearer(staff.inspector)
    ])
    const { items } = body as { items: ReadonlyArray<{ id: string; version: number; data: { plate?: string } }> }
    for (const violation of items) {
      const key = randomUUID()
      const done = await town.until([200], [409], () => [
        "decide",
        "POST",
        `/v1/cases/traffic-violation/${violation.id}/transitions/accept`,
        {
          ...json,
          ...bearer(staff.inspector),
          "idempotency-key": key,
          "if-match": `"${violation.version}"`
        },
        JSON.stringify(violation.data.plate === undefined ? { plate: "01A777AA" } : {})
      ])
      if (done.tries > 1 && done.headers.get("idempotency-replayed") === "true") records.committedUnanswered++
      records.accepted.add(violation.id)
    }
    await pause(items.length === 0 ? 150 : 20)
  }
}
