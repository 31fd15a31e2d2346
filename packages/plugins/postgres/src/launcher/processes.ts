/**
 * Which process is meant by a number in a file. Process ids are used again, so a process is known by its id and the moment it
 * started, where the system tells us (Linux); elsewhere by the id alone.
 */
import { execFile } from "node:child_process"
import { readFile, readlink } from "node:fs/promises"
import { hostname } from "node:os"
import { orAbsent } from "./failure.ts"

export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks since boot; absent where the system does not tell. */
  readonly started?: string
  readonly host: string
}

/** Whether the system has that number in use, be it by a zombie. */
export const exists = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    // EPERM: it lives, and belongs to somebody else.
    return (cause as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** The living process of that id, else `undefined`. A zombie counts as dead. */
export const identify = async (pid: number): Promise<ProcessIdentity | undefined> => {
  if (!Number.isSafeInteger(pid) || pid <= 0 || !exists(pid)) return undefined
  const host = hostname()
  const stat = process.platform === "linux" ? await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "") : ""
  // The second field is the command's name in brackets and may hold anything, so count from the last bracket.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  if (fields[0] === "Z" || fields[0] === "X") return undefined
  const started = fields[19]
  return started === undefined ? { pid, host } : { pid, started, host }
}

/** Whether the very process still lives. Of another machine we cannot know, and say no. */
export const lives = async (identity: ProcessIdentity): Promise<boolean> => {
  if (identity.host !== hostname()) return false
  const found = await identify(identity.pid)
  return found !== undefined && (identity.started === undefined || found.started === identity.started)
}

const output = (command: string, args: ReadonlyArray<string>): Promise<string> =>
  new Promise((resolve) =>
    execFile(command, [...args], { timeout: 5_000, windowsHide: true }, (_, stdout) => resolve(stdout ?? ""))
  )

/**
 * Whether a living process is the PostgreSQL server of that data folder: `maybe` where it is a PostgreSQL that does not let us see
 * its folder.
 */
export const servesFolder = async (pid: number, dataFolder: string): Promise<"yes" | "no" | "maybe"> => {
  if (process.platform === "linux") {
    const command = await orAbsent(readFile(`/proc/${pid}/comm`, "utf8")).catch(() => "")
    if (command?.trim() !== "postgres") return "no"
    const folder = await readlink(`/proc/${pid}/cwd`).catch(() => undefined)
    return folder === undefined ? "maybe" : folder === dataFolder ? "yes" : "no"
  }
  if (process.platform === "win32") {
    const row = await output("tasklist", ["/FI", `PID eq ${pid}`, "/FO", "CSV", "/NH"])
    return row.includes("postgres") ? "maybe" : "no"
  }
  const row = await output("ps", ["-o", "command=", "-p", String(pid)])
  return !row.includes("postgres") ? "no" : row.includes(dataFolder) ? "yes" : "maybe"
}
