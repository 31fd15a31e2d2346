import type { Filing } from "@mahalla/core/plugin"
import { randomUUID } from "node:crypto"

export const filing = (change: Partial<Filing> = {}): Filing => ({
  number: randomUUID(),
  kind: "traffic-violation",
  offence: "red-light",
  article: "128-1(1)",
  plate: "01A777AA",
  occurredAt: 1_795_000_000_000,
  evidence: [
    {
      url: "https://city.example/evidence/1",
      expiresAt: 1_797_000_000_000,
      sha256: "ab".repeat(32),
      mediaType: "video/mp4",
      size: 1_048_576
    }
  ],
  ...change
})
