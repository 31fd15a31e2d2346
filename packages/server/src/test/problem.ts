/** What every refusal must look like (RFC 9457), for tests that hold doors to it. */
import { expect } from "vitest"
import type { Answer } from "./client.ts"

export interface Expected {
  readonly status: number
  /** Last part of the problem's type. */
  readonly type: string
  /** Each of them must be named. */
  readonly pointers?: ReadonlyArray<string>
}

/** Fails with everything that is wrong about a problem at once. */
export const expectProblem = (name: string, answer: Answer, expected: Expected): void => {
  const { body, headers, status } = answer
  const seen = {
    name,
    status,
    contentType: headers.get("content-type"),
    type: body?.type,
    said: body?.status,
    titled: typeof body?.title === "string" && body.title.length > 2,
    requestId: body?.requestId !== undefined && body.requestId === headers.get("x-request-id"),
    pointers: (expected.pointers ?? []).filter(
      (pointer) => !(body?.errors ?? []).some((error: { pointer: string }) => error.pointer === pointer)
    )
  }
  const right = status === expected.status && body?.type === `urn:mahalla:problem:${expected.type}`
  expect({ ...seen, text: right ? "" : answer.text.slice(0, 500) }).toEqual({
    text: "",
    name,
    status: expected.status,
    contentType: "application/problem+json",
    type: `urn:mahalla:problem:${expected.type}`,
    said: expected.status,
    titled: true,
    requestId: true,
    pointers: []
  })
  // Nothing of our inside: no SQL, no file, no stack.
  expect(answer.text).not.toMatch(
    /select |insert |mahalla\.[a-z_]+ |at [A-Za-z.]+ \(|\/(work|home|tmp|packages)\/|node_modules/i
  )
}
