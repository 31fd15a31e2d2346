/** The clock that only runs, and which start of the machine it counts from. */
import { randomUUID } from "node:crypto"
import { readFileSync } from "node:fs"
import { uptime } from "node:os"

const readBoot = (): string => {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
  } catch {
    // Elsewhere clocks are compared within one process only.
    return randomUUID()
  }
}

export const boot = readBoot()

/** Milliseconds since the machine was started, its sleep included. */
export const uptimeMillis = (): number => uptime() * 1000
