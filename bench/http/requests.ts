/** What the load clients send: the same report to each, in the words of each. */
import { randomUUID } from "node:crypto"
import { readingOf, tokenOf } from "../telemetry/readings.ts"
import type { Request, Target } from "./client.ts"

const words =
  "The traffic light at the crossing stays red for all sides since the morning and cars pass as they like while children cross to school every few minutes so please send somebody before it gets dark today"

/** A like report: title, 190 characters of description, category, place. */
const report = (n: number) => ({
  title: `Light out of order ${n}`,
  description: words.slice(0, 190),
  category: ["lights", "roads", "waste", "water"][n % 4]!,
  latitude: 39.6 + ((n * 7919) % 1000) / 10_000,
  longitude: 66.9 + ((n * 104_729) % 1000) / 10_000
})

type Shape = (n: number, facts: Target["facts"]) => Request

const ours: Shape = (n, facts) => {
  const { latitude, longitude, ...data } = report(n)
  return {
    method: "POST",
    path: "/v1/cases/bench-report",
    headers: { authorization: `Bearer ${facts["token"]}`, "idempotency-key": randomUUID() },
    body: JSON.stringify({ data, place: { longitude, latitude } })
  }
}

const bbox = (n: number) => {
  const west = 66.9 + (n % 90) / 1000
  const south = 39.6 + ((n * 7) % 90) / 1000
  return `${west.toFixed(3)},${south.toFixed(3)},${(west + 0.01).toFixed(3)},${(south + 0.01).toFixed(3)}`
}

/** Half reads by id, a fifth lists of each kind, a fifth creates, and now and then the types. `facts.ids`: known cases. */
const mixed: Shape = (n, facts) => {
  const headers = { authorization: `Bearer ${facts["token"]}` }
  const get = (path: string): Request => ({ method: "GET", path, headers })
  const turn = n % 20
  if (turn < 9) {
    const ids = (facts["ids"] ?? "").split(",")
    return get(`/v1/cases/bench-report/${ids[n % ids.length]}`)
  }
  if (turn < 12) return get("/v1/cases?type=bench-report&limit=20")
  if (turn < 13) return get(`/v1/cases?bbox=${bbox(n)}&limit=20`)
  if (turn < 14) return get("/v1/cases?q=crossing&limit=20")
  if (turn < 15) return get("/v1/case-types/bench-report")
  return ours(n, facts)
}

let firstReading: number | undefined
/** A device's next readings in one request; of the devices after those that publish by MQTT. */
const readings: Shape = (n, facts) => {
  const [devices = 0, step = 0, start = 0, batch = 0] = ["devices", "step", "start", "batch"].map((name) =>
    Number(facts[name])
  )
  firstReading ??= n
  const turn = n - firstReading
  const device = devices + (turn % devices)
  const from = start + Math.floor(turn / devices) * batch * step
  const sending = { devices: 1, values: 1, step, start: from }
  return {
    method: "POST",
    path: `/api/v1/${tokenOf(device)}/telemetry`,
    body: JSON.stringify(Array.from({ length: batch }, (_, place) => readingOf(sending, place).body))
  }
}

export const shapes: Readonly<Record<string, Shape>> = {
  ours,
  mixed,
  readings,
  floor: (n, facts) => ({ ...ours(n, facts), path: "/reports" }),
  parse: (n) => {
    const { latitude, longitude, ...rest } = report(n)
    return {
      method: "POST",
      path: "/parse/classes/Report",
      headers: { "x-parse-application-id": "bench", "x-parse-rest-api-key": "bench" },
      body: JSON.stringify({ ...rest, lat: latitude, lon: longitude })
    }
  },
  "parse-like": (n, facts) => {
    const { latitude, longitude, ...rest } = report(n)
    const { session = "", user = "" } = facts
    return {
      method: "POST",
      path: "/parse/classes/Report",
      headers: {
        "x-parse-application-id": "bench",
        "x-parse-rest-api-key": "bench",
        "x-parse-session-token": session,
        "x-parse-request-id": randomUUID()
      },
      body: JSON.stringify({
        ...rest,
        place: { __type: "GeoPoint", latitude, longitude },
        ACL: { [user]: { read: true, write: true } }
      })
    }
  },
  directus: (n, facts) => {
    const { latitude, longitude, ...rest } = report(n)
    return {
      method: "POST",
      path: "/items/report",
      headers: { authorization: `Bearer ${facts["token"]}` },
      body: JSON.stringify({ ...rest, lat: latitude, lon: longitude })
    }
  }
}
