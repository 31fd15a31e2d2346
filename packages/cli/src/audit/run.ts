/** The answer of a verification, for people or for programs, and its exit code. */
import { exitCodes, Finding } from "./findings.ts"
import { type Request, type Verified, verifyLog } from "./verify.ts"

const sentence = ({ checkpoints, dropped, events, key, root, unsigned }: Verified): string => {
  const tail = unsigned === 0 ? "" : ` The last ${unsigned} are under no checkpoint yet.`
  const gone = dropped === 0 ? "" : ` Of ${dropped} only the hash is there.`
  return `verified: ${events} events, root ${root}, ${checkpoints} checkpoints, key from ${key}.${tail}${gone}`
}

/** Verifies, prints what it found, and returns the exit code. */
export const runVerify = async (request: Request, json: boolean, print: (line: string) => void): Promise<number> => {
  try {
    const verified = await verifyLog(request)
    print(json ? JSON.stringify({ verified: true, ...verified }) : sentence(verified))
    return 0
  } catch (error) {
    const finding = error instanceof Finding ? error : new Finding("usage", (error as Error).message)
    const { event, fault, message, position } = finding
    const place = [
      ...(position === undefined ? [] : [`position ${position}`]),
      ...(event === undefined ? [] : [`event ${event}`])
    ]
    print(
      json
        ? JSON.stringify({ verified: false, fault, position, event, message })
        : `${fault}${place.length === 0 ? "" : ` at ${place.join(", ")}`}: ${message}`
    )
    return exitCodes[fault]
  }
}
