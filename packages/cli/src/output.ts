/** Text for people or JSON lines for programs, and progress on long work. */

export interface Output {
  /** A sentence; in JSON its facts. */
  readonly say: (text: string, facts?: Readonly<Record<string, unknown>>) => void
  /** A bar on a terminal, a line now and then elsewhere, an object in JSON. `done` of `total`. */
  readonly progress: (step: string, done: number, total: number) => void
}

const width = 30

export const makeOutput = (json: boolean): Output => {
  let open = false
  let lastShown = 0
  const closeBar = () => {
    if (open) process.stdout.write("\n")
    open = false
  }
  return {
    say: (text, facts = {}) => {
      closeBar()
      process.stdout.write(json ? `${JSON.stringify({ message: text, ...facts })}\n` : `${text}\n`)
    },
    progress: (step, done, total) => {
      const now = performance.now()
      const finished = done >= total
      if (!finished && now - lastShown < (process.stdout.isTTY === true && !json ? 80 : 1000)) return
      lastShown = now
      const share = total === 0 ? 1 : Math.min(1, done / total)
      if (json) process.stdout.write(`${JSON.stringify({ step, done, total })}\n`)
      else if (process.stdout.isTTY === true) {
        const filled = Math.round(share * width)
        process.stdout.write(
          `\r${step.padEnd(22)} ${"█".repeat(filled)}${"░".repeat(width - filled)} ${String(Math.round(share * 100)).padStart(3)} %`
        )
        open = true
        if (finished) closeBar()
      } else process.stdout.write(`${step}: ${Math.round(share * 100)} %\n`)
    }
  }
}
