// Parse Server on a database of its own, as its guide sets it up; REST key, class made by the first write, files in a folder.
import { mkdtempSync, rmSync } from "node:fs"
import { once } from "node:events"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { importPeer } from "../peers.mjs"

const [databaseURI] = process.argv.slice(2)
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
  allowClientClassCreation: true
})
await server.start()
const app = express()
app.use("/parse", server.app)
const listening = app.listen(0, "127.0.0.1")
await once(listening, "listening")
console.log(JSON.stringify({ port: listening.address().port, facts: {} }))
await once(process.stdin.resume(), "end")
rmSync(home, { recursive: true, force: true })
process.exit(0)
