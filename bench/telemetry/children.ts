/** Processes of a benchmark: told and asked by messages, halted while another has its turn. */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { flags } from "../http/processes.ts"

export interface Child<Ready> {
  readonly pid: number
  readonly ready: Ready
  /** Sends a message and waits for the answer. */
  readonly ask: <Answer>(message: object) => Promise<Answer>
  readonly on: (hear: (message: object) => void) => () => void
  readonly halt: () => void
  readonly resume: () => void
  readonly stop: () => Promise<void>
}

const end = async (child: ChildProcess) => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, "exit")
  child.kill("SIGCONT")
  if (child.connected) child.disconnect()
  const late = setTimeout(() => child.kill("SIGKILL"), 15_000)
  await exit
  clearTimeout(late)
}

/** Starts a script of this folder with its options as JSON; its first message says that it is ready. */
export const startChild = async <Ready>(
  script: string,
  options: object = {},
  more: ReadonlyArray<string> = []
): Promise<Child<Ready>> => {
  const child = fork(new URL(script, import.meta.url), [JSON.stringify(options)], { execArgv: [...flags, ...more] })
  const [ready] = (await Promise.race([
    once(child, "message"),
    once(child, "exit").then(([code]) => Promise.reject(new Error(`${script} ended with ${code} before it was ready`)))
  ])) as [Ready]
  return {
    pid: child.pid!,
    ready,
    ask: async <Answer>(message: object) => {
      child.send(message)
      const [answer] = (await once(child, "message")) as [Answer]
      return answer
    },
    on: (hear) => {
      child.on("message", hear)
      return () => void child.off("message", hear)
    },
    halt: () => void child.kill("SIGSTOP"),
    resume: () => void child.kill("SIGCONT"),
    stop: () => end(child)
  }
}
