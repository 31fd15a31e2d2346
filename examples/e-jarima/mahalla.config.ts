/** E-jarima: citizens report traffic violations, inspectors decide, an authority fines, and fined ones are rewarded by phone credit. */
import {
  filings,
  identity,
  notifications,
  oauth,
  payouts,
  reports,
  security,
  securityAlert,
  trafficReport,
  trafficViolation,
  webhooks
} from "@mahalla/core"
import { defaults, defineConfig } from "@mahalla/server"
import { demo } from "./src/demo.ts"

export default defineConfig(({ databaseUrl, mode, publicUrl, s3 }) => ({
  plugins: defaults({
    databaseUrl,
    s3,
    plates: { countries: ["UZ", "GE", "EU"] },
    // People can try being confirmed, and violations are filed, without anybody who is real: a real city names its own register and its
    // authority, as asbt({ url, secret }), or none.
    ...(mode === "dev" ? { identityCheck: "sandbox", authority: "sandbox" } : {})
  }),
  modules: [
    security(),
    identity(),
    payouts(),
    filings(),
    reports(),
    notifications({ caseTypes: [trafficReport, trafficViolation, securityAlert] }),
    // Others' apps need an address that the world can reach: outside of dev it does not start without MAHALLA_PUBLIC_URL.
    oauth(),
    // Partners are told of what they may see.
    webhooks()
  ],
  ...(publicUrl === undefined ? {} : { publicUrl }),
  demo
}))
