/** Our server: `ours.ts <owner's database address> <home> [api]`. */
import { once } from "node:events"
import { serve } from "@mahalla/server"
import { benchCity, citizenOf } from "./city.ts"

const [databaseUrl = "", home = "", only] = process.argv.slice(2)
const city = benchCity({ databaseUrl, home, ...(only === "api" ? { only: ["api"] } : {}) })
await city.start()
const serving = await serve(city, { port: 0, host: "127.0.0.1" })
console.log(JSON.stringify({ port: serving.port, facts: await citizenOf(city) }))
await once(process.stdin.resume(), "end")
await serving.close(1000)
process.exit(0)
