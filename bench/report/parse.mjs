// Parse Server on a database of its own, as its guide sets it up; REST key, class made by the first write, files in a folder. With `like` it
// does what a create of ours does: a signed-in citizen, rights of the class and of the object, a place, each request once for
// its id, an event and a job for each report.
import { mkdtempSync, rmSync } from "node:fs"
import { once } from "node:events"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { importPeer } from "../peers.mjs"

const [databaseURI, like] = process.argv.slice(2)
const home = mkdtempSync(join(tmpdir(), "mahalla-bench-parse-"))
const { default: express } = await importPeer("express", "parse")
const { ParseServer } = await importPeer("parse-server", "parse")
const { default: FSFilesAdapter } = await importPeer("@parse/fs-files-adapter", "parse")
const server = new ParseServer({
  databaseURI,
  appId: "bench",
  masterKey: "bench-master",
  restAPIKey: "bench",
  serverURL: "http://127.0.0.1/parse",
  filesAdapter: new FSFilesAdapter({ filesSubDirectory: join(home, "files") }),
  logsFolder: null,
  silent: true,
  verbose: false,
  allowClientClassCreation: true,
  ...(like === "like"
    ? {
        idempotencyOptions: { paths: ["classes/.*"], ttl: 300 },
        cloud: (Parse) =>
          Parse.Cloud.afterSave("Report", async ({ object, user }) => {
            const of = (name, fields) => new Parse.Object(name).save(fields, { useMasterKey: true })
            const facts = { report: object.id, actor: user?.id }
            await Promise.all([
              of("Event", { ...facts, type: "report.created", payload: object.toJSON() }),
              of("Job", { ...facts, topic: "bench.created", state: "ready" })
            ])
          })
      }
    : {})
})
await server.start()
const app = express()
app.use("/parse", server.app)
const listening = app.listen(0, "127.0.0.1")
await once(listening, "listening")
const { port } = listening.address()
const facts = {}
if (like === "like") {
  const call = async (path, body, headers = {}) => {
    const answer = await fetch(`http://127.0.0.1:${port}/parse/${path}`, {
      method: "POST",
      headers: { "x-parse-application-id": "bench", "content-type": "application/json", ...headers },
      body: JSON.stringify(body)
    })
    if (!answer.ok) throw new Error(`Parse refused ${path}: ${await answer.text()}`)
    return answer.json()
  }
  const { objectId, sessionToken } = await call(
    "users",
    { username: "citizen", password: "bench-password" },
    { "x-parse-rest-api-key": "bench" }
  )
  Object.assign(facts, { user: objectId, session: sessionToken })
  const text = { type: "String" }
  const permissions = { create: { requiresAuthentication: true }, get: { requiresAuthentication: true } }
  await call(
    "schemas/Report",
    {
      className: "Report",
      fields: { title: text, description: text, category: text, place: { type: "GeoPoint" } },
      classLevelPermissions: permissions
    },
    { "x-parse-master-key": "bench-master" }
  )
}
console.log(JSON.stringify({ port, facts }))
await once(process.stdin.resume(), "end")
rmSync(home, { recursive: true, force: true })
process.exit(0)
