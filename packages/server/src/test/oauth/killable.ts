/** A city with the OAuth provider in a process of its own, to be killed. Founds its tenant at the first start; says where it is and who its staff is. */
import { createCity, identity, issueLink, oauth, security } from "@mahalla/core"
import { filesystem } from "@mahalla/filesystem"
import { outboxMessenger } from "@mahalla/outbox-messenger"
import { postgres } from "@mahalla/postgres"
import { serve } from "../../serve.ts"

const { databaseUrl, home, port } = JSON.parse(process.argv[2] ?? "{}") as {
  readonly databaseUrl: string
  readonly home: string
  readonly port: number
}
const city = createCity({
  home,
  mode: "dev",
  secret: "a secret for the tests of a killed city, not for use",
  plugins: [postgres({ url: databaseUrl, maxConnections: 8 }), filesystem({}), outboxMessenger({})],
  modules: [security(), identity(), oauth()],
  trustedProxies: ["127.0.0.1"],
  logFormat: "silent"
})
await city.start()
const tenants = await city.admin.tenants.list()
if (tenants.length === 0)
  await city.admin.tenants.create({
    slug: "samarkand",
    name: "Samarkand",
    settings: {
      timeZone: "Asia/Samarkand",
      languages: ["en"],
      country: "UZ",
      currency: "UZS",
      calendar: { days: [1], from: "09:00", to: "18:00", holidays: [] },
      corsOrigins: []
    }
  })
const { id } = await city.admin.principals.createStaff("samarkand", { name: "Staff", roles: ["municipality-admin"] })
const link = await city.admin.run("samarkand", issueLink(id))
const serving = await serve(city, { port, host: "127.0.0.1" })
process.send?.({ port: serving.port, link })
