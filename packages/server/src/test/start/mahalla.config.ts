/** A small city for tests of starting and stopping. `START_SCHEMA` adds what a newer release would have migrated. */
import { createHash } from "node:crypto"
import { identity, security } from "@mahalla/core"
import { defineModule, type Migration } from "@mahalla/core/module"
import { filesystem } from "@mahalla/filesystem"
import { outboxMessenger } from "@mahalla/outbox-messenger"
import { postgres } from "@mahalla/postgres"
import { defineConfig } from "../../defineConfig.ts"

const newer = (breaking: boolean): Migration => {
  const sql = "create table mahalla.of_tomorrow (id integer primary key);"
  const checksum = createHash("sha256").update(sql).digest("hex")
  return { module: "tomorrow", id: 1, name: "tomorrow", breaking, sql, checksum }
}

const schema = process.env["START_SCHEMA"]

export default defineConfig(({ databaseUrl }) => ({
  plugins: [...postgres(databaseUrl === undefined ? {} : { url: databaseUrl }), filesystem({}), outboxMessenger({})],
  modules: [
    security(),
    identity(),
    ...(schema === undefined ? [] : [defineModule({ id: "tomorrow", migrations: [newer(schema === "breaking")] })])
  ],
  ...(process.env["START_SEED"] === undefined
    ? {}
    : {
        demo: {
          tenant: "town",
          place: { longitude: 44.79, latitude: 41.69 },
          offence: "none",
          seed: async (city) => {
            if ((await city.admin.tenants.list()).length > 0) return
            await city.admin.tenants.create({
              slug: "town",
              name: "Town",
              settings: {
                timeZone: "Asia/Tbilisi",
                languages: ["en"],
                country: "GE",
                currency: "GEL",
                calendar: { days: [1, 2, 3, 4, 5], from: "10:00", to: "19:00", holidays: [] },
                corsOrigins: []
              }
            })
            await city.admin.principals.createStaff("town", { name: "Ada", roles: ["municipality-admin"] })
          }
        }
      })
}))
