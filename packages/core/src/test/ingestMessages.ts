/** Messages for tests of decoders. */
import type { StatelessMessage } from "../modules/telemetry/decode/decode.ts"

/** 2026-11-20T10:00:00Z */
export const now = Date.UTC(2026, 10, 20, 10)

export const message = (
  format: StatelessMessage["format"],
  payload: unknown,
  topic = "v1/devices/me/telemetry"
): StatelessMessage => ({
  from: { tenant: "samarkand", device: "gateway-1" },
  topic,
  format,
  payload:
    payload instanceof Uint8Array
      ? payload
      : new TextEncoder().encode(typeof payload === "string" ? payload : JSON.stringify(payload)),
  receivedAt: now
})
