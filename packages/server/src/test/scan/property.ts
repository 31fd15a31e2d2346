/** Hostile texts in every field of every operation: a problem or a page like any other, in the usual time, and never a word of the database's. */
import fc from "fast-check"
import { databaseWords } from "../databaseWords.ts"
import { type Answer, rawCall } from "../client.ts"
import { requestOf } from "./gate.ts"
import { hostileInside, hostileSql, sleep } from "./hostile.ts"
import type { Person, Scene } from "./scene.ts"
import { type Operation, operationsOf } from "./targets.ts"

export interface Held {
  readonly asked: number
  readonly statuses: ReadonlyMap<number, number>
  readonly faults: ReadonlyArray<string>
}

const personFor = ({ path }: Operation): Person =>
  path.startsWith("/v1/platform")
    ? "platform"
    : /^\/v1\/(auth|planted)/.test(path)
      ? "visitor"
      : path.startsWith("/v1/me") || path === "/v1/cases/traffic-report"
        ? "citizen"
        : "municipality-admin"

/** Half of what a payload would sleep; whoever is slower is asked again, for a machine may be busy. */
const tooLong = (sleep * 1000) / 2

/** `runs`: texts for each field. */
export const holdsAgainstSql = async (scene: Scene, runs: number, seed: number): Promise<Held> => {
  const operations = (await operationsOf(scene)).filter(({ path }) => !path.startsWith("/v1/planted"))
  const statuses = new Map<number, number>()
  const faults: Array<string> = []
  let asked = 0

  const judge = async (what: string, sent: ReadonlyArray<string>, ask: () => Promise<Answer>) => {
    let shortest = Number.POSITIVE_INFINITY
    let answer: Answer
    let left = 3
    do {
      const began = performance.now()
      answer = await ask()
      shortest = Math.min(shortest, performance.now() - began)
    } while (shortest > tooLong && --left > 0)
    asked++
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
    const words = databaseWords(`${answer.text} ${JSON.stringify([...answer.headers])}`, sent)
    const wrong = [
      ...(answer.status >= 500 ? [`answered with ${answer.status}`] : []),
      ...(answer.status >= 400 &&
      answer.headers.get("content-type") !== "application/problem+json" &&
      answer.text !== ""
        ? [`${answer.status} is no problem document`]
        : []),
      ...(words === undefined ? [] : [`says "${words}"`]),
      ...(shortest > tooLong ? [`took ${Math.round(shortest)} ms, three times`] : [])
    ]
    if (wrong.length > 0) throw new Error(`${what}: ${wrong.join(", ")} for ${JSON.stringify(sent)}`)
  }

  const hold = async (property: fc.IAsyncProperty<[string]>, numRuns: number) => {
    const told = await fc.check(property, { numRuns, seed, endOnFailure: true })
    if (told.failed) faults.push(String(told.errorInstance))
  }

  for (const operation of operations) {
    const person = personFor(operation)
    // Signed in for each anew: what was asked before may have ended the session.
    const client = person === "visitor" ? scene.kit.samarkand.visitor : await scene.tokenOf(person)
    const valid = operation.fields.map(({ value }) => String(value))
    const base = new URL(client.base)
    const send = (texts: ReadonlyArray<string>, query = "", more: Readonly<Record<string, string>> = {}) => {
      const { body, headers, path } = requestOf(operation, texts)
      const whole = `${base.pathname.replace(/\/$/, "")}${path}${query === "" ? "" : `${path.includes("?") ? "&" : "?"}${query}`}`
      const given = {
        ...client.headers,
        ...headers,
        ...more,
        ...(body === undefined
          ? {}
          : { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) })
      }
      return rawCall(base.origin, operation.method, whole, given, body)
    }
    for (const [index, field] of operation.fields.entries()) {
      await hold(
        fc.asyncProperty(hostileInside(valid[index]!), (text) =>
          judge(`${operation.label} ${field.name}`, [text], () => send(valid.with(index, text)))
        ),
        runs
      )
    }
    if (operation.method === "GET") {
      // No list can be ordered by the caller: a parameter that is not there is refused, or passed over where an operation has none at all.
      await hold(
        fc.asyncProperty(hostileSql, (text) =>
          judge(`${operation.label} sort`, [text], () => send(valid, `sort=${encodeURIComponent(text)}`))
        ),
        1
      )
    }
    if (/\/transitions\/|assignee/.test(operation.path)) {
      await hold(
        fc.asyncProperty(hostileSql, (text) => {
          const printable = text.replaceAll(/[^\x20-\x7e]/g, "?")
          return judge(`${operation.label} If-Match`, [printable], () => send(valid, "", { "if-match": printable }))
        }),
        runs
      )
    }
  }

  // Names of fields, where a body may have any.
  const admin = await scene.tokenOf("municipality-admin")
  await hold(
    fc.asyncProperty(hostileSql, (text) =>
      judge("PUT /v1/offences/{code} title", [text], () =>
        admin.call("PUT", "/v1/offences/olma3", {
          body: {
            code: "olma3",
            article: text,
            title: { [text]: text, en: text },
            fine: 5,
            rewardShare: 0,
            active: true
          }
        })
      )
    ),
    runs * 5
  )
  // The live feed goes on from where somebody says; its beginning is all that is looked at.
  await hold(
    fc.asyncProperty(hostileSql, (text) => {
      const printable = text.replaceAll(/[^\x20-\x7e]/g, "?").trim()
      return judge("GET /v1/events Last-Event-ID", [printable], async () => {
        const aborter = new AbortController()
        const response = await fetch(`${admin.base}/v1/events`, {
          headers: { ...admin.headers, "last-event-id": printable },
          signal: aborter.signal
        })
        const refused = response.status >= 400
        const body = refused ? await response.text() : ""
        aborter.abort()
        return { status: response.status, headers: response.headers, text: body, body: undefined }
      })
    }),
    runs * 5
  )
  return { asked, statuses, faults }
}
