import { expect, test } from "vitest"
import { confidencesBroken, watchCall, watchLogs } from "./watch.ts"

test("a_phone_or_a_token_in_a_log_or_in_a_refusal_is_found_and_nothing_else", () => {
  watchLogs()
  const token = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
  const log = (message: string) => process.stderr.write(`${JSON.stringify({ at: "2026-11-21", message })}\n`)
  // Logged before anybody knew that it was a secret.
  log(`refresh with mrt_${"a".repeat(43)}`)
  const body = { accessToken: token, refreshToken: `mrt_${"a".repeat(43)}` }
  watchCall("POST /v1/auth/session", { phone: "+998901112233", code: "123456" }, { status: 200, text: "", body })
  log("code for 998901112233, to=%2B998901112233")
  log("code for <…33> by <token>, took 123456 ms at 01a1fb96-0a6f-7324-b14e-40eab5e1b19c")
  watchCall("GET /v1/me", undefined, { status: 401, text: `{"detail":"${token} is no token"}`, body: {} })
  watchCall("GET /v1/me", undefined, { status: 401, text: '{"detail":"Sign in."}', body: {} })
  watchCall("GET /v1/outbox", undefined, { status: 200, text: "+998901112233", body: {} })
  const found = confidencesBroken()
  expect(found.map((one) => one.split(" ").slice(0, 2).join(" "))).toEqual([
    "GET /v1/me",
    `logged mrt_${"a".repeat(43)}:`,
    "logged 998901112233:"
  ])
  expect(confidencesBroken()).toEqual([])
})
