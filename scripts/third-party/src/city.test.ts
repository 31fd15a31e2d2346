/** A city of packed packages with a plugin and a module from outside, on the embedded database. */
import { createCity, type City } from "@mahalla/core"
import { outboxMessenger } from "@mahalla/outbox-messenger"
import { postgres } from "@mahalla/postgres"
import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, it } from "node:test"
import { locker } from "./locker.ts"
import { asphaltUsed, potholes } from "./potholes.ts"

const home = mkdtempSync(join(tmpdir(), "acme-city-"))
let city: City

before(async () => {
  city = createCity({
    home,
    mode: "dev",
    logLevel: "Warn",
    plugins: [postgres(), locker({ folder: join(home, "locker") }), outboxMessenger({})],
    modules: [potholes()]
  })
  await city.start()
  await city.admin.tenants.create({
    slug: "acme",
    name: "Acme",
    settings: {
      timeZone: "Asia/Tashkent",
      languages: ["en"],
      country: "UZ",
      currency: "UZS",
      calendar: { days: [1, 2, 3, 4, 5], from: "09:00", to: "18:00", holidays: [] },
      corsOrigins: []
    }
  })
})
after(async () => {
  await city.close()
  rmSync(home, { recursive: true, force: true })
})

const report = (depth: number) =>
  city.as({ tenant: "acme", principal: "anonymous" }).cases.create({
    type: "pothole",
    data: { depth },
    place: { longitude: 69.28, latitude: 41.31 }
  })
const engine = () => city.as({ tenant: "acme", principal: "system" })

it("moves a case of the module and writes its table in the same transaction", async () => {
  const { id } = await report(25)
  const fixed = await engine().cases.transition({ caseId: id, transition: "fix" })
  assert.equal(fixed.state, "fixed")
  assert.equal(await engine().run(asphaltUsed), 3)
})

it("asks the module's guard", async () => {
  const { id } = await report(150)
  await assert.rejects(engine().cases.transition({ caseId: id, transition: "fix" }), { code: "too-deep" })
  assert.equal((await engine().cases.get(id)).state, "open")
})

it("answers over HTTP", async () => {
  const answer = await city.fetch(new Request("http://acme.example/v1/cases?type=pothole"), { ip: "203.0.113.9" })
  assert.equal(answer.status, 200)
})
