/** Water watch: sensors on the pipes of two municipalities, and a control room for each. */
import {
  alertType,
  controlRoom,
  identity,
  incidentType,
  live,
  network,
  notifications,
  security,
  securityAlert,
  telemetry,
  workOrderType
} from "@mahalla/core"
import { defaults, defineConfig } from "@mahalla/server"
import { demo } from "./src/demo.ts"

/** Devices of this network only; `MQTT_HOST=0.0.0.0` for all that can reach this machine. */
const host = process.env["MQTT_HOST"] ?? "127.0.0.1"
const port = Number(process.env["MQTT_PORT"] ?? 1883)

export default defineConfig(({ databaseUrl, publicUrl, s3 }) => ({
  plugins: defaults({ databaseUrl, s3, mqtt: { tcp: { host, port } } }),
  modules: [
    security(),
    identity(),
    controlRoom(),
    network(),
    telemetry(),
    live(),
    notifications({ caseTypes: [securityAlert, alertType, incidentType, workOrderType] })
  ],
  ...(publicUrl === undefined ? {} : { publicUrl }),
  demo
}))
