/** Runs the app: try `curl -H 'cookie: sid=alice-session' URL/city/v1/me`. */
import { makeCity, startApp } from "./app.ts"

const app = await startApp(
  makeCity(process.env["MAHALLA_HOME"] ?? ".mahalla", process.env["DATABASE_URL"]),
  Number(process.env["PORT"] ?? 3000)
)
process.stdout.write(`The app runs at ${app.url}, the city at ${app.url}/city\n`)
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void app.close().then(() => process.exit(0)))
