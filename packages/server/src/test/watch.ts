/**
 * Attack case 39 in every test that opens a city: what its clients tell the city in confidence or get from it is remembered, and looked for in
 * what the city logs, debugging included, and in the bodies of its refusals. The city of a test that wants its log for itself is left alone.
 */

const fields = new Set(
  (
    "phone token accessToken refreshToken device key secret clientSecret recoveryCodes " +
    "access_token refresh_token id_token client_secret code_verifier"
  ).split(" ")
)

const confidential = new Set<string>()
const lines: Array<string> = []
const findings: Array<string> = []

const note = (value: unknown, field = ""): void => {
  if (Array.isArray(value)) for (const part of value) note(part, field)
  else if (typeof value === "object" && value !== null)
    for (const [name, part] of Object.entries(value)) note(part, name)
  else if (typeof value !== "string" || !fields.has(field)) return
  else if (/^\+\d{11,13}$/.test(value)) confidential.add(value.slice(1))
  else if (/^[A-Za-z0-9_.-]{16,}$/.test(value)) confidential.add(value)
}

/** Whole words only: nothing is found by chance, and a long text takes one pass. */
const foundIn = (text: string): string | undefined =>
  [...text.matchAll(/[A-Za-z0-9_.-]{11,}/g)]
    .map(([word]) => word)
    .find((word) => confidential.has(word) || confidential.has(word.replace(/^2B(?=\d)/, "")))

/** From now on what the city logs comes here instead of onto the screen. */
export const watchLogs = (): void => {
  const write = process.stderr.write.bind(process.stderr) as (...given: ReadonlyArray<unknown>) => boolean
  process.stderr.write = ((chunk: unknown, ...rest: ReadonlyArray<unknown>) => {
    if (typeof chunk !== "string" || !chunk.startsWith('{"at":')) return write(chunk, ...rest)
    lines.push(chunk)
    return true
  }) as typeof process.stderr.write
}

/** Called with everything that a test's client has sent and got. */
export const watchCall = (
  what: string,
  sent: unknown,
  answer: { status: number; text: string; body: unknown }
): void => {
  note(sent)
  note(answer.body)
  const found = answer.status < 400 ? undefined : foundIn(answer.text)
  if (found !== undefined) findings.push(`${what} is refused with ${found} in the body: ${answer.text.slice(0, 200)}`)
}

/** What was found until now; looked for at the end, for some of it is known only after it was logged. */
export const confidencesBroken = (): ReadonlyArray<string> => {
  for (const line of lines.splice(0)) {
    const found = foundIn(line)
    if (found !== undefined) findings.push(`logged ${found}: ${line.slice(0, 300)}`)
  }
  return findings.splice(0)
}
