/**
 * A company's own Node app: it has its own people and its own sessions, and carries a city under `/city`. The city asks it who is asking; the app
 * calls the city as somebody. No Effect in sight.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { type City, createCity, notifications, payouts, reports, trafficReport, trafficViolation } from "@mahalla/core"
import { defaults } from "@mahalla/server"

/** The app's own sessions: a cookie each. A real app has a table. */
const sessions = new Map([
  ["alice-session", { id: "alice", name: "Alice", roles: [] as ReadonlyArray<string> }],
  ["ivan-session", { id: "ivan", name: "Ivan", roles: ["inspector"] as ReadonlyArray<string> }]
])

const sessionOf = (cookie: string | undefined) => sessions.get(/(?:^|;\s*)sid=([\w-]+)/.exec(cookie ?? "")?.[1] ?? "")

export const makeCity = (home: string, databaseUrl?: string): City =>
  createCity({
    home,
    mode: "dev",
    logLevel: "Warn",
    basePath: "/city",
    plugins: defaults({ databaseUrl }),
    modules: [payouts(), reports(), notifications({ caseTypes: [trafficReport, trafficViolation] })],
    // The app's login is the city's login.
    login: async ({ headers }) => {
      const user = sessionOf(headers["cookie"])
      return user === undefined
        ? null
        : { externalId: user.id, name: user.name, kind: user.roles.length > 0 ? "staff" : "person", roles: user.roles }
    }
  })

const page = async (city: City, request: IncomingMessage, response: ServerResponse) => {
  const user = sessionOf(request.headers.cookie)
  // The app reads the city's data by a typed call, not over HTTP.
  const { items } = await city.as({ tenant: "acme", principal: "system" }).cases.list({ limit: 5 })
  response.writeHead(200, { "content-type": "application/json" })
  response.end(
    JSON.stringify({
      hello: user?.name ?? "visitor",
      cases: items.map(({ reference, state, type }) => ({ type, reference, state }))
    })
  )
}

export interface App {
  readonly url: string
  readonly close: () => Promise<void>
}

/** Starts the app; everything below `/city` is the city's. */
export const startApp = async (city: City, port = 0): Promise<App> => {
  await city.start()
  if ((await city.admin.tenants.list()).length === 0) {
    await city.admin.tenants.create({
      slug: "acme",
      name: "Acme",
      settings: {
        timeZone: "Asia/Tbilisi",
        languages: ["en", "ka"],
        country: "GE",
        currency: "GEL",
        calendar: { days: [1, 2, 3, 4, 5], from: "10:00", to: "19:00", holidays: [] },
        corsOrigins: []
      }
    })
  }
  const server: Server = createServer((request, response) => {
    if ((request.url ?? "").startsWith("/city")) return city.node.request(request, response)
    page(city, request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error))
    })
  })
  server.on("upgrade", (request, socket, head) => city.node.upgrade(request, socket, head))
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.close()
      server.closeAllConnections()
      await city.close()
    }
  }
}
