/** The operations of the city's own API document as requests that are valid, each with the places in it that a scanner may fill. */
import { webhookBodies } from "../isolation/things.ts"
import { waterBodies, waterIds } from "../isolation/water.ts"
import type { Scene } from "./scene.ts"

export interface Field {
  readonly place: "path" | "query" | "header" | "body"
  /** The parameter's name, or the way into the body as `data.description`. */
  readonly name: string
  readonly value: string | number | boolean
}

export interface Operation {
  readonly method: string
  /** As the document has it. */
  readonly path: string
  /** Both. */
  readonly label: string
  readonly fields: ReadonlyArray<Field>
  /** Absent where the operation takes none. */
  readonly body?: unknown
}

type Values = Readonly<Record<string, unknown>>

const soon = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString()

/** In queries wherever the name means the same. */
const queryValues = (scene: Scene): Values => ({
  limit: 20,
  type: "traffic-report",
  state: "in-review",
  phase: "open",
  territory: scene.things.territory,
  bbox: "66.8,39.5,67.1,39.8",
  q: "corner",
  owner: "me",
  assignee: scene.kit.samarkand.staff.inspector.id,
  parent: scene.reports[0]!.id,
  createdAfter: "2026-01-01T00:00:00Z",
  createdBefore: "2099-01-01T00:00:00Z",
  cursor: scene.reports[0]!.id,
  kind: "person",
  after: "0",
  topic: "dead.olma3",
  to: scene.phone,
  giver: scene.kit.samarkand.staff.inspector.id,
  receiver: scene.staff,
  active: "true",
  principal: scene.staff,
  status: "pending"
})

const waterQuery = ({ things }: Scene): Readonly<Record<string, Values>> => {
  const span = { from: soon(-24), to: soon(1) }
  const datastream = Object.fromEntries(
    ["anomalies", "chart", "intervals", "readings", "readings.csv", "readings.ndjson"].map((part) => [
      `GET /v1/datastreams/{id}/${part}`,
      { ...span, cursor: null, interval: 60, points: 100, method: "extremes" }
    ])
  )
  return {
    ...datastream,
    "GET /v1/anomalies": { cursor: null, kind: "range", minScore: 0.1 },
    "GET /v1/rules": { cursor: "a", enabled: "true" },
    "GET /v1/devices": { cursor: "a", q: "olma", profile: things.profile, status: "active", territory: null },
    "GET /v1/readings/dead-letters": { reason: "malformed", deviceId: things.device, open: "true" },
    "GET /v1/alerts": {
      ...{ state: "incident", severity: "major", active: "true", acknowledged: "true", rule: things.rule },
      ...{ originator: things.device, territory: null, cursor: null }
    },
    "GET /v1/maintenance-windows": { active: "true", cursor: null },
    "GET /v1/rotas/{id}/on-call": { at: soon(1) },
    "GET /v1/networks/{id}/route": { from: things.asset, to: things.otherAsset },
    "GET /v1/assets": { network: things.network, kind: "junction", q: "OLMA3", cursor: things.report },
    "GET /v1/assets.geojson": { network: things.network, kind: "junction", q: "OLMA3" },
    "GET /v1/assets/nearest": { kind: "junction", q: "OLMA3", longitude: 66.97, latitude: 39.65 },
    "GET /v1/assets/{id}/isolation": { stuck: things.otherAsset },
    "POST /v1/network-imports": {
      ...{ network: "Scan", format: "geojson", dryRun: "true", longitude: 66.97, latitude: 39.65, x: 0, y: 0 },
      ...{ metresPerUnit: 1, tolerance: 1 }
    }
  }
}

/** Where a name means something else. */
const ownQuery = (scene: Scene): Readonly<Record<string, Values>> => ({
  "GET /v1/cases/{type}/{id}/timeline": { cursor: scene.event },
  "GET /v1/dead-letters": { cursor: scene.deadLetterCursor },
  "GET /v1/audit/checkpoints": { cursor: 1 },
  "GET /v1/audit/inclusion": { event: scene.event, position: 1, size: 3 },
  "GET /v1/audit/consistency": { from: 1, to: 3 },
  "GET /v1/audit/export": { from: 1 },
  "GET /v1/platform/log": { cursor: 1 },
  "GET /v1/accounts/{id}/statement": { from: "2020-01-01T00:00:00Z", to: "2099-01-01T00:00:00Z", cursor: null },
  "GET /v1/reconciliations": { rail: scene.things.mark, before: "2099-01-01" },
  "GET /v1/reconciliation-differences": { open: "false", rail: scene.things.mark, cursor: null },
  "GET /v1/payouts": { state: "succeeded", cursor: scene.unknownPayout },
  "GET /v1/filings": { state: "decided", authority: "light-authority", case: scene.things.violation, cursor: null },
  "GET /v1/filings/{id}/evidence/{attachment}": { expires: 4_102_444_800, signature: "A".repeat(43) },
  "GET /v1/messages": {
    ...{ state: "accepted", channel: "outbox-messenger", category: "cases", principal: scene.things.citizen.id },
    ...{ broadcast: null, case: null, cursor: null }
  },
  "GET /v1/me/messages": { cursor: null },
  "GET /v1/broadcasts": { cursor: null },
  "GET /v1/message-totals": { from: "2026-01-01", to: "2099-01-01" },
  "GET /v1/auth/openid/{provider}": {
    redirectUri: "https://olma3.example/app",
    codeChallenge: "A".repeat(43),
    state: "scan",
    fresh: "true",
    language: "uz"
  },
  "GET /v1/webhooks": { status: "paused", principal: scene.kit.samarkand.staff["municipality-admin"].id, cursor: null },
  "GET /v1/webhooks/{id}/messages": { state: "waiting", type: "webhook.test", cursor: null },
  "GET /v1/webhooks/{id}/attempts": { message: scene.things.webhookMessage, delivered: "false", cursor: null },
  ...waterQuery(scene),
  "GET /v1/planted/streets": { name: "Registon", column: "name" },
  "GET /v1/planted/greeting": { name: "Registon" },
  "GET /v1/planted/elsewhere": { to: "/docs" },
  "GET /v1/planted/leaflet": { file: "planted.ts" },
  "GET /v1/planted/preview": { address: "http://127.0.0.1:9/" }
})

const caseQueries = [
  ["type", "state", "phase", "q", "limit", "createdAfter", "createdBefore"],
  ["bbox", "parent", "limit"],
  ["territory", "assignee", "owner", "cursor"]
]

/** Queries that would find nothing with all their parameters at once, asked in parts: an empty page tells a scanner nothing. */
const inParts: Readonly<Record<string, ReadonlyArray<ReadonlyArray<string>>>> = {
  "GET /v1/cases": caseQueries,
  "GET /v1/cases.csv": caseQueries,
  "GET /v1/audit/inclusion": [["position", "size"], ["event"]],
  "GET /v1/delegations": [["limit", "active", "giver", "receiver"], ["cursor"]],
  "GET /v1/principals": [["limit", "kind", "q"], ["cursor"]]
}

const pathValues = (scene: Scene, label: string): Readonly<Record<string, string>> => {
  const { reports, things } = scene
  const id = (): string => {
    if (label.includes("security-alert")) return scene.alert
    const ready = scene.ready[label]
    if (ready !== undefined) return ready
    if (label.includes("/v1/filings")) return things.filing
    const water = waterIds(label.slice(label.indexOf(" ") + 1), things)
    if (water !== undefined) return water[0]!
    if (label.includes("traffic-violation")) return reports[0]!.violation
    if (/\/(reopen|appeal)$/.test(label)) return scene.closed
    if (/\/close$/.test(label)) return scene.settled
    if (label.includes("/links/{kind}")) return scene.linked
    if (label === "DELETE /v1/cases/{type}/{id}/claim") return scene.claimed
    if (label.includes("/attachments/")) return things.attachment
    if (label.includes("/grants/") || label.includes("/openid/{link}")) return scene.granted
    if (label.includes("/v1/principals")) return scene.staff
    if (label.includes("/v1/delegations")) return things.delegation
    if (label.includes("/v1/payouts/{id}/settlement")) return scene.unknownPayout
    if (label.includes("/v1/payouts/{id}/retry")) return scene.failedPayout
    if (label.includes("/v1/payouts/{id}/approval")) return scene.requestedPayout
    if (label.includes("/v1/payouts")) return things.payout
    if (label.includes("/v1/accounts")) return things.account
    if (label.includes("/v1/reconciliation-differences")) return things.difference
    if (label.includes("/v1/dead-letters")) return things.deadLetter
    if (label.includes("/v1/me/sessions")) return things.session
    if (label.includes("/v1/api-keys")) return scene.apiKey
    if (label.includes("/v1/erasures")) return scene.erasure
    if (label.includes("/v1/webhooks")) return things.webhook
    if (label.includes("/v1/me/apps")) return scene.connectedApp
    if (label.includes("/apps/")) return things.app
    if (label.includes("/v1/broadcasts")) return things.broadcast
    if (label.includes("/v1/messages")) return things.message
    if (label.includes("/planted/")) return "1"
    return reports[0]!.id
  }
  return {
    id: id(),
    type: "traffic-report",
    kind: "caused-by",
    to: reports[0]!.id,
    grant: things.grant,
    role: things.role,
    slug: scene.city,
    access: scene.access,
    admin: scene.otherAdmin,
    provider: "country",
    link: things.invitation,
    attachment: things.attachment,
    credential: things.credential,
    command: things.command,
    override: things.override,
    message: things.webhookMessage,
    recovery: things.webhookRecovery,
    key: `key-${things.mark.toLowerCase()}`,
    channel: "any",
    token: things.notificationLink,
    z: "14",
    x: "11239",
    y: "6291.mvt",
    code: "olma3"
  }
}

const bodies = (scene: Scene): Readonly<Record<string, unknown>> => {
  const { reports, things } = scene
  const reason = "The scan looks at every door"
  const place = { longitude: 66.9749, latitude: 39.6547 }
  const days = [1, 2, 3, 4, 5]
  const ticket = { ticket: "A".repeat(43), codeVerifier: "A".repeat(43) }
  return {
    ...webhookBodies,
    "POST /v1/webhooks": {
      url: "https://1.1.1.1/scan",
      description: "Scan",
      types: ["alert.*"],
      caseTypes: ["traffic-report"],
      territoryId: things.territory,
      ordered: true,
      ed25519: true
    },
    ...waterBodies({ ...things, alert: scene.looseAlert }, scene.staff),
    "POST /v1/cases/{type}/{id}/comments": { text: "Seen", visibility: "public" },
    "POST /v1/cases/{type}/{id}/links": { kind: "caused-by", to: reports[1]!.id },
    "POST /v1/cases/{type}/{id}/merge": { into: reports[1]!.id },
    "POST /v1/cases/{type}/{id}/claim": { minutes: 5 },
    "PUT /v1/cases/{type}/{id}/assignee": { assigneeId: scene.kit.samarkand.staff.inspector.id },
    "POST /v1/principals": { name: "A clerk", language: "uz" },
    "POST /v1/principals/{id}/grants": { role: "dispatcher", territoryId: things.territory, until: soon(24) },
    "POST /v1/roles": { id: "scan-role", title: "A role", permissions: ["event.read"] },
    "PATCH /v1/roles/{role}": { title: "A role", permissions: ["event.read"] },
    "POST /v1/delegations": {
      principalId: scene.staff,
      role: "inspector",
      permissions: ["traffic-report.read"],
      territoryId: things.territory,
      until: soon(24)
    },
    "POST /v1/platform/session": { token: scene.platformLink },
    "POST /v1/platform/tenants": {
      slug: "nukus",
      name: "Nukus",
      hosts: ["nukus.example"],
      settings: {
        timeZone: "Asia/Tashkent",
        languages: ["uz"],
        country: "UZ",
        currency: "UZS",
        calendar: { days, from: "09:00", to: "18:00", holidays: ["2026-01-01"] },
        corsOrigins: ["https://nukus.example"]
      }
    },
    "POST /v1/platform/tenants/{slug}/suspend": { reason },
    "POST /v1/platform/tenants/{slug}/resume": { reason },
    "POST /v1/platform/tenants/{slug}/access": { reason, until: soon(20) },
    "POST /v1/auth/code": { phone: "+998900000064", language: "uz", device: scene.device },
    "POST /v1/auth/session": {
      phone: "+998900000063",
      code: scene.code,
      language: "uz",
      device: scene.device
    },
    "POST /v1/auth/link": { token: scene.link, device: scene.device },
    "POST /v1/auth/refresh": { refreshToken: scene.refreshToken },
    "POST /v1/auth/openid/session": { ...ticket, device: scene.device },
    "POST /v1/me/openid": ticket,
    "PUT /v1/openid-providers/{provider}": {
      title: { en: "Scan" },
      issuer: "https://olma3.example",
      clientId: "scan",
      clientSecret: "a secret of the scan",
      scopes: ["openid"],
      admits: ["staff"],
      requires: {},
      secondFactor: { amr: ["otp"] },
      redirectUris: ["https://scan.example/app"],
      active: true
    },
    "POST /v1/principals/{id}/openid": { provider: "country", claim: "email", value: "clerk@city.example" },
    "POST /v1/me/identity-checks": {
      register: "light-register",
      number: "31207901234568",
      birthDate: "1990-07-12",
      consent: "1"
    },
    "POST /v1/platform/second-factor": { code: "123456" },
    "POST /v1/platform/factors/totp/confirm": { code: "123456" },
    "POST /v1/platform/admins/{admin}/block": { reason },
    "POST /v1/platform/admins/{admin}/sign-out": { reason },
    "PATCH /v1/me": { name: "Nodira", language: "uz" },
    "POST /v1/auth/second-factor": { code: "123456" },
    "POST /v1/me/factors/totp/confirm": { code: "123456" },
    "POST /v1/auth/passkey": { challengeId: reports[0]!.id, response: { id: "abc" }, device: scene.device },
    "POST /v1/me/passkeys": { challengeId: reports[0]!.id, response: { id: "abc" }, name: "Phone" },
    "POST /v1/api-keys": { name: "Scan", scopes: ["event.read"], days: 7 },
    "POST /v1/apps": {
      name: "Scan",
      homepage: "https://scan.example/",
      auth: "client_secret_basic",
      redirectUris: ["https://scan.example/callback"],
      grantTypes: ["authorization_code"],
      scopes: ["openid"]
    },
    "PUT /v1/apps/{id}/status": { status: "active" },
    "PUT /v1/me/notification-preferences": {
      ...{ quiet: "own", quietFrom: "22:00", quietUntil: "07:00", digest: "daily", digestHour: 18, digestDay: 5 },
      ...{ language: "uz", territoryId: things.territory, categories: { city: { channels: ["outbox"] } } }
    },
    "POST /v1/me/push-subscriptions": { channel: "push", token: "token-of-the-scan-0123456789" },
    "PUT /v1/me/notification-email": { address: "scan@olma3.example" },
    "PUT /v1/notification-templates/{key}/{channel}": {
      texts: { en: { text: "{city}: seen", subject: "Seen", html: "<p>Seen</p>" } }
    },
    "POST /v1/notification-templates/{key}/{channel}/preview": { language: "en", values: { city: "Samarkand" } },
    "POST /v1/notification-templates/{key}/{channel}/test": { language: "en", values: { city: "Samarkand" } },
    "PUT /v1/notification-rules/{key}": {
      ...{
        on: "changed",
        to: ["owner", { role: "inspector" }],
        template: "case-changed",
        urgency: "normal",
        category: "cases"
      },
      ...{ channels: ["outbox"], mode: "first", wait: 5, expires: 60, enabled: true }
    },
    "POST /v1/broadcasts": {
      ...{
        category: "city",
        urgency: "normal",
        texts: { en: { text: "{city}: seen" } },
        territoryId: things.territory
      },
      ...{
        filters: { languages: ["en"], role: "inspector", optedIn: false },
        channels: ["outbox"],
        expiresAt: soon(24)
      }
    },
    "POST /v1/broadcasts/{id}/start": { recipients: 0 },
    "POST /v1/payouts/{id}/settlement": { outcome: "failed", reference: "R-1", reason },
    "POST /v1/filings/{id}/settlement": { verdict: "fined", fine: "1000", reference: "R-1", reason },
    "POST /v1/accounts/budget/funds": { amount: "1000", memo: "Scan" },
    "POST /v1/accounts/corrections": {
      ...{ debit: { kind: "budget", name: "" }, credit: { kind: "funding", name: "" } },
      ...{ amount: "1", memo: "Scan" }
    },
    "POST /v1/reconciliations": { rail: "light-payments", day: "2026-11-20" },
    "POST /v1/reconciliation-differences/{id}/resolution": { reason },
    "PUT /v1/offences/{code}": {
      code: "olma3",
      article: "128",
      title: { en: "Speed", uz: "Tezlik" },
      fine: 5,
      rewardShare: 0,
      active: true
    },
    "POST /v1/cases/traffic-report": {
      data: {
        offence: "red-light",
        occurredAt: "2026-11-20T08:00:00Z",
        plate: "01A777AA",
        moment: 1.5,
        description: "At the corner"
      },
      place,
      attachments: [scene.spareAttachment]
    },
    "POST /v1/cases/traffic-report/{id}/transitions/add-violation": {
      offence: "parking",
      plate: "01A777AA",
      moment: 2
    },
    "POST /v1/cases/traffic-report/{id}/transitions/close": { reason },
    "POST /v1/cases/traffic-report/{id}/transitions/appeal": { reason },
    "POST /v1/cases/traffic-report/{id}/transitions/reopen": { reason },
    "POST /v1/cases/traffic-violation/{id}/transitions/accept": {
      plate: "01A777AA",
      offence: "parking",
      note: "Seen well"
    },
    "POST /v1/cases/traffic-violation/{id}/transitions/reject": { reason },
    "POST /v1/planted/streets/{id}/notes": { text: "Wide" }
  }
}

/** What a scanner may fill in a body: every text, number and truth in it. */
const leaves = (value: unknown, way: string): ReadonlyArray<Field> =>
  typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([key, part]) => leaves(part, way === "" ? key : `${way}.${key}`))
    : [{ place: "body", name: way, value: value as string | number | boolean }]

interface Entry {
  readonly parameters?: ReadonlyArray<{ readonly name: string; readonly in: string }>
  readonly requestBody?: object
}

const idempotencyKey: Field = { place: "header", name: "Idempotency-Key", value: "scan" }

/** Those that no scanner can ask: a stream without an end. */
const unasked: ReadonlySet<string> = new Set(["GET /v1/events", "GET /v1/readings/live"])

/** Fails for an operation that takes a body when none is known for it. */
export const operationsOf = async (scene: Scene): Promise<ReadonlyArray<Operation>> => {
  const { body: document } = await scene.kit.samarkand.visitor.get("/openapi.json")
  const known = bodies(scene)
  const [common, own] = [queryValues(scene), ownQuery(scene)]
  const listed = Object.entries(document.paths as Record<string, Record<string, Entry>>)
  return listed.flatMap(([path, item]) =>
    Object.entries(item).flatMap(([verb, { parameters = [], requestBody }]): ReadonlyArray<Operation> => {
      const method = verb.toUpperCase()
      const label = `${method} ${path}`
      if (unasked.has(label)) return []
      const values: Values = { ...common, ...own[label] }
      const inPath = pathValues(scene, label)
      const fieldsWith = (part: ReadonlyArray<string> | undefined) =>
        parameters.flatMap(({ in: place, name }): ReadonlyArray<Field> => {
          if (place === "path") return [{ place, name, value: inPath[name] ?? "missing" }]
          if (place === "query") {
            const value = values[name]
            return value == null || part?.includes(name) === false ? [] : [{ place, name, value: value as string }]
          }
          if (name === "Idempotency-Key") return [idempotencyKey]
          if (name === "Confirmation-Code") return [{ place: "header", name, value: "123456" }]
          // `If-Match` must name the version of the moment: the property test fills it.
          return []
        })
      if (requestBody === undefined)
        return (inParts[label] ?? [undefined]).map((part) => ({ method, path, label, fields: fieldsWith(part) }))
      const body = known[label] ?? (/\/transitions\//.test(path) ? {} : undefined)
      if (body === undefined) throw new Error(`The scan knows no body for ${label}; give it one in targets.ts.`)
      return [
        {
          method,
          path,
          label,
          fields: [...fieldsWith(undefined), ...leaves(body, "")],
          body
        }
      ]
    })
  )
}
