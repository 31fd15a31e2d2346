/** Starts the app with what the city answered at its registration, in `APP_REGISTRATION` as JSON. */
import { type Registration, startCitizenApp } from "./app.ts"

const given = process.env["APP_REGISTRATION"]
if (given === undefined) {
  process.stderr.write(
    "Register the app first (docs/guides/citizen-apps.md) and give the answer as APP_REGISTRATION='{…}'.\n"
  )
  process.exit(64)
}
const app = await startCitizenApp(JSON.parse(given) as Registration, Number(process.env["PORT"] ?? 3000))
process.stdout.write(`Open ${app.url}\n`)
