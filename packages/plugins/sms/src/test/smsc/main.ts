/** The SMS centre as a process: `--port 0 --data FILE`. Prints its ports. */
import type { AddressInfo } from "node:net"
import { parseArgs } from "node:util"
import { control } from "../control.ts"
import { Centre, type Manner } from "./Centre.ts"

const { values } = parseArgs({
  options: { port: { type: "string", default: "0" }, data: { type: "string", default: "" } }
})
const centre = new Centre(values.data)

const controlPort = await control({
  "PUT /faults": (body) => centre.faults.set(body as never),
  "PUT /manner": (body) => void (centre.manner = { ...centre.manner, ...(body as Partial<Manner>) }),
  "PUT /password": (body) => void (centre.password = body as string),
  "PUT /frozen": (body) => void (centre.frozen = body as boolean),
  "POST /cut": () => centre.cut(),
  "POST /release": () => centre.release(),
  "GET /bound": () => centre.bound(),
  "GET /count": () => centre.count(),
  "GET /messages": (_body, query) => centre.messages(query.get("to") ?? "")
})
centre.server.listen(Number(values.port), "127.0.0.1", () => {
  const { port } = centre.server.address() as AddressInfo
  process.stdout.write(`${JSON.stringify({ port, control: controlPort })}\n`)
})
