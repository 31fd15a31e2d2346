/** E-jarima: citizens report traffic violations, inspectors decide, accepted reports are rewarded by phone credit. */
import {
  identity,
  notifications,
  payouts,
  reports,
  security,
  securityAlert,
  trafficReport,
  trafficViolation
} from "@mahalla/core"
import { defaults, defineConfig } from "@mahalla/server"
import { demo } from "./src/demo.ts"

export default defineConfig(({ databaseUrl, s3 }) => ({
  plugins: defaults({ databaseUrl, s3, plates: { countries: ["UZ", "GE", "EU"] } }),
  modules: [
    security(),
    identity(),
    payouts(),
    reports(),
    notifications({ caseTypes: [trafficReport, trafficViolation, securityAlert] })
  ],
  demo
}))
